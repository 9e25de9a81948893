"""What the rules of library kernels share: their text, and how images and channel vectors reach them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod

import numpy as np

from mm_backend_mlu.codegen.expression import C_TYPES, FLOATS
from mm_backend_mlu.codegen.kernel import Kernel
from mm_backend_mlu.lowering.contraction_tiling import ContractionMemory
from mm_backend_mlu.lowering.epilogues import Contraction, Epilogue
from mm_backend_mlu.lowering.layout import Layout, lanes, physical_shape, round_up
from mm_backend_mlu.lowering.lowering import Lowering
from mm_backend_mlu.lowering.movement import copy, fill_buffer
from mm_backend_mlu.lowering.values import constant_data, dtype_of, elements, shape_of
from mm_backend_mlu.lowering.view import View
from mm_backend_mlu.program import BLOCK
from mm_core.ir import Value
from mm_core.types import Array

Field = int | float | bool | str | Sequence[int]


def ctype_of(value: Value) -> str:
    return C_TYPES[dtype_of(value).text]


def not_float(*values: Value | None) -> str:
    """Why values are not what the vector and tensor units compute with; empty if they are."""
    for value in values:
        if value is not None and dtype_of(value).text not in FLOATS:
            return f"no kernel for elements of type {dtype_of(value).name}"
    return ""


def shape_text(struct: str, fields: Mapping[str, Field | Mapping[str, Field]]) -> str:
    """C that declares `shape` and fills its fields in; sequences are arrays, mappings are structs."""
    lines = [f"mm::{struct} shape;"]
    for name, value in fields.items():
        lines += [f"shape.{place} = {text};" for place, text in _places(name, value)]
    return "\n".join(lines)


def _places(name: str, value: Field | Mapping[str, Field]) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for inner, field in value.items():
            yield from _places(f"{name}.{inner}", field)
    elif isinstance(value, bool):
        yield name, str(int(value))
    elif isinstance(value, float):
        yield name, f"{float(np.float32(value))!r}f"
    elif isinstance(value, (int, str)):
        yield name, str(value)
    else:
        for number, item in enumerate(value):
            yield f"{name}[{number}]", str(item)


# --- contractions -----------------------------------------------------------------------------------------------------


def contraction_kernel(
    family: str,
    names: tuple[str, str, str],
    contraction: Contraction,
    epilogue: Epilogue,
    memory: ContractionMemory,
    shape: str,
    note: str,
    *,
    form: str = "",
    right: str = "",
) -> Kernel:
    """The kernel `mm::<family>` of kernels/<family>.h with its epilogue; `_together` with weights that are shared.

    `names` are those of the two operands and the result. `form` is what the first one is told of the right operand;
    `right` is the type of that operand's elements, if not the result's.
    """
    ctype, (a, b, c) = ctype_of(contraction.root.result), names
    bias = contraction.kernel_bias is not None
    memories = [f"mm_{name}" for name in ("nram", "wram", "sram") if getattr(memory, name)]
    handed = [a, b, "bias" if bias else "nullptr", c, "epilogue", *memories]
    if memory.together:
        call = f"mm::{family}_together<{ctype}>"
        note += ", weights shared by clusters"
    else:
        call = f"mm::{family}<{ctype}>"
        handed = [*([form] if form else []), *handed]
    return Kernel(
        "_".join([family, *(op.name.removeprefix("mm.") for op in contraction.rest[:2])]),
        (
            f"const {ctype} *{a}", f"const {right or ctype} *{b}", *(["const float *bias"] if bias else []),
            *epilogue.code.parameters, f"{ctype} *{c}",
        ),
        f"{shape}\n{epilogue.code.declaration}\n{call}({', '.join(['shape', *handed])});",
        (f"kernels/{family}.h", *epilogue.code.includes),
        epilogue.code.definitions,
        nram=memory.nram,
        wram=memory.wram,
        sram=memory.sram,
        note=note,
    )  # fmt: skip


def launch_kind(memory: ContractionMemory) -> int:
    """The kind of a contraction's launch: one cluster in union where cores share weights."""
    return 1 if memory.together else BLOCK


# --- images -----------------------------------------------------------------------------------------------------------


def image_shape(value: Value) -> tuple[int, int, int, int]:
    """An image's batch, channels, height and width; one of rank 3 has one row."""
    shape = shape_of(value)
    batch, channels, *spatial = shape
    height, width = (1, *spatial)[-2:]
    return batch, channels, height, width


def pitch_of(value: Value) -> int:
    """Channels from pixel to pixel of an image that lies channels last."""
    return round_up(shape_of(value)[1], lanes(dtype_of(value).itemsize))


def is_image(value: Value) -> bool:
    return len(shape_of(value)) in (3, 4)


def read_image(low: Lowering, value: Value) -> int:
    """The buffer of an image, channels last."""
    if len(shape_of(value)) == 4:
        return low.channels_last(value)
    buffer = low.temporary(_image_bytes(value))
    low.convert(low, low.dense(value), buffer, image_shape(value), dtype_of(value).itemsize, True)
    return buffer


@contextmanager
def written_image(low: Lowering, value: Value) -> Iterator[int]:
    """A buffer for an image to be computed into, channels last. One of rank 3 lies dense when the context ends."""
    result = low.result(value)
    if low.layout(value) is Layout.CHANNELS_LAST:
        yield result
        return
    buffer = low.temporary(_image_bytes(value))
    yield buffer
    low.convert(low, buffer, result, image_shape(value), dtype_of(value).itemsize, False)


def _image_bytes(value: Value) -> int:
    size = dtype_of(value).itemsize
    return prod(physical_shape(image_shape(value), size, Layout.CHANNELS_LAST)) * size


# --- epilogues --------------------------------------------------------------------------------------------------------


def epilogue_buffers(low: Lowering, epilogue: Epilogue, pitch: int, tensor: Callable[[Value], int]) -> list[int]:
    """The buffers that a functor reads: vectors padded to `pitch` channels, and tensors as `tensor` brings them."""
    buffers = []
    for value, along in zip(epilogue.values, epilogue.along_channels):
        if not along:
            buffers.append(tensor(value))
        elif constant_data(value) is None:
            buffers.append(_padded_when_running(low, value, pitch))
        else:
            buffers.append(low.packed(value, ("channels", pitch), lambda array: padded_vector(array, pitch)))
    return buffers


def _padded_when_running(low: Lowering, value: Value, size: int) -> int:
    """The buffer of a vector that only running tells, with zeros up to `size`."""
    vector, itemsize = low.dense(value), dtype_of(value).itemsize
    if elements(value) == size:
        return vector
    buffer = low.temporary(size * itemsize)
    fill_buffer(low, buffer, size, itemsize, 0)
    copy(low, View.dense(vector, (elements(value),)), View.dense(buffer, (elements(value),)), itemsize, "pad")
    return buffer


def bias_buffers(low: Lowering, bias: Value | None, size: int) -> list[int]:
    """The buffer of the bias that a kernel adds, in float and padded to `size` channels; none without one."""
    if bias is None:
        return []
    return [low.packed(bias, ("bias", size), lambda array: padded_vector(array.astype(np.float32), size))]


def padded_vector(array: Array, size: int) -> Array:
    """A vector with zeros up to `size`."""
    flat = array.reshape(-1)
    return np.concatenate([flat, np.zeros(size - flat.size, flat.dtype)])
