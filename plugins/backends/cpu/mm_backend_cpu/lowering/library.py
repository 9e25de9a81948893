"""The native library's kernels as a table: which operator, which element types, which parameters. `KERNELS.md` beside
the native sources says what the parameters mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mm_backend_cpu.lowering.lowering import Lowering, shape_of, tensor_type
from mm_backend_cpu.lowering.movement import double_bits, slice_bounds
from mm_backend_cpu.lowering.resize import resize_parameters
from mm_backend_cpu.lowering.windows import Window, window_of
from mm_core.ir import Operation, Value, known_value
from mm_core.types import DTYPES, Dim, DType, is_non_negative, seed_word

_TEXT = {dtype.text: dtype for dtype in DTYPES}
INTEGERS = frozenset(_TEXT[t] for t in ("i8", "i16", "i32", "i64", "ui8", "ui16", "ui32", "ui64"))
FLOATS = frozenset(_TEXT[t] for t in ("f16", "bf16", "f32", "f64"))
BOOL = frozenset({_TEXT["i1"]})
NUMBER = INTEGERS | FLOATS
SCALAR = NUMBER | BOOL
ANY = frozenset(dtype for dtype in DTYPES if dtype.kind != "string")
ANY_FLOAT = frozenset(dtype for dtype in ANY if dtype.is_float)
REAL = frozenset(dtype for dtype in ANY if dtype.kind != "complex")
QUANTIZED = frozenset(_TEXT[t] for t in ("i8", "i16", "i32", "ui8", "ui16", "ui32")) | frozenset(
    dtype for dtype in REAL if dtype.bits < 8 + dtype.is_float and dtype.kind != "bool"
)

Parameters = Sequence[Dim]


@dataclass(frozen=True, slots=True)
class LibraryKernel:
    """A library kernel for an operator. `parameters` gives its integers, or the reason why it does not apply.

    `dtypes` are those of the first operand passed (of the result, if there is none); `operands` numbers those that
    are passed (None: all).
    """

    name: str
    dtypes: frozenset[DType]
    parameters: Callable[[Operation], Parameters | str] = lambda operation: ()
    operands: tuple[int, ...] | None = None

    def passed(self, operation: Operation) -> list[Value | None]:
        """The operands that the kernel gets."""
        given = operation.operands
        return list(given if self.operands is None else (given[n] for n in self.operands if n < len(given)))


def check_library(operation: Operation) -> str:
    """Why the library does not run an operation; empty if it does."""
    kernel = LIBRARY[operation.name]
    first = next((value for value in kernel.passed(operation) if value is not None), None)
    dtype = tensor_type(operation.results[0] if first is None else first).dtype
    if dtype not in kernel.dtypes:
        return f"no library kernel for {dtype.name}"
    for value in (*operation.operands, *operation.results):
        if value is not None and tensor_type(value).dtype not in ANY:
            return f"no library kernel for {tensor_type(value).dtype.name}"
    parameters = kernel.parameters(operation)
    return parameters if isinstance(parameters, str) else ""


def lower_library(low: Lowering, operation: Operation) -> None:
    """One step of the library on row-major operands."""
    kernel = LIBRARY[operation.name]
    parameters = kernel.parameters(operation)
    assert not isinstance(parameters, str)
    inputs = [-1 if value is None else low.dense(value) for value in kernel.passed(operation)]
    low.library(kernel.name, inputs, [low.result(value) for value in operation.results], parameters)


# ---- parameters -------------------------------------------------------------------------------------------------


def _shape(operation: Operation) -> tuple[Dim, ...]:
    value = operation.operands[0]
    assert value is not None
    return shape_of(value)


def _axis(operation: Operation) -> int:
    axis: int = operation.attributes["axis"]
    return axis % max(len(_shape(operation)), 1)


def _flags(*names: str) -> Callable[[Operation], Parameters]:
    return lambda operation: [int(operation.attributes[name]) for name in names]


def _permutation(operation: Operation) -> Parameters:
    rank = len(_shape(operation))
    permutation = operation.attributes["permutation"]
    return range(rank)[::-1] if permutation is None else [axis % rank for axis in permutation]


def _slice(operation: Operation) -> Parameters | str:
    bounds = slice_bounds(operation)
    return bounds if isinstance(bounds, str) else [*bounds[0], *bounds[1]]


def _reverse(operation: Operation) -> Parameters:
    rank = len(_shape(operation))
    axes = operation.attributes["axes"]
    reversed_axes = set(range(rank)) if axes is None else {axis % rank for axis in axes}
    return [int(axis in reversed_axes) for axis in range(rank)]


_PAD_MODES = ("constant", "reflect", "edge", "wrap")


def _pad(operation: Operation) -> Parameters | str:
    pads = known_value(operation.operand("pads"))
    if pads is None or any(pad is None for pad in pads):
        return "pads known only when running"
    if operation.attributes["mode"] in ("reflect", "wrap") and not all(map(is_non_negative, pads)):
        return "no library kernel that crops and mirrors at once"
    rank = len(_shape(operation))
    axes = operation.attributes["axes"]
    axes = range(rank) if axes is None else [axis % rank for axis in axes]
    before: list[Dim] = [0] * rank
    for axis, pad in zip(axes, pads[: len(pads) // 2]):
        before[axis] = pad
    return [_PAD_MODES.index(operation.attributes["mode"]), *before]


def _reduced(operation: Operation) -> Parameters:
    rank = len(_shape(operation))
    axes = operation.attributes["axes"]
    reduced = set(range(rank)) if axes is None else {axis % rank for axis in axes}
    return [int(axis in reduced) for axis in range(rank)]


_ROUND_MODES = ("up", "down", "nearest")


def _cast(operation: Operation) -> Parameters:
    return [int(operation.attributes["saturate"]), _ROUND_MODES.index(operation.attributes["round_mode"])]


_REDUCTIONS = ("none", "add", "mul", "max", "min")


def _scatter(operation: Operation) -> Parameters | str:
    reduction = operation.attributes["reduction"]
    dtype = tensor_type(operation.result).dtype
    if reduction != "none" and dtype not in REAL:
        return f"no library kernel that combines {dtype.name} by {reduction}"
    return [*([_axis(operation)] if "axis" in operation.attributes else []), _REDUCTIONS.index(reduction)]


def _iota(operation: Operation) -> Parameters | str:
    rank = len(shape_of(operation.result))
    return [operation.attributes["axis"] % rank] if rank else "no library kernel for a scalar"


def _quantization(operation: Operation) -> Parameters | str:
    """The library takes real numbers and scales of one type; others decompose."""
    x, scale = operation.operands[:2]
    assert x is not None
    assert scale is not None
    real = tensor_type(x if operation.name == "mm.quantize" else operation.result).dtype
    small = tensor_type(operation.result if operation.name == "mm.quantize" else x).dtype
    if real not in FLOATS or small not in QUANTIZED or tensor_type(scale).dtype is not real:
        return f"no library kernel for {small.name}, {real.name} and scales in {tensor_type(scale).dtype.name}"
    attributes = operation.attributes
    return [_axis(operation), int(attributes.get("saturate", True)), attributes["block_size"]]


def _window(operation: Operation) -> Window | str:
    return window_of(operation)


def _conv(operation: Operation) -> Parameters | str:
    window = _window(operation)
    return window if isinstance(window, str) else [operation.attributes["group"], *window.parameters()]


def _conv_transpose(operation: Operation) -> Parameters | str:
    """Other ways of padding decompose to explicit pads."""
    attributes = operation.attributes
    if attributes["auto_pad"] != "notset" or attributes["output_shape"]:
        return "padding by output shape"
    return _conv(operation)


def _max_pool(operation: Operation) -> Parameters | str:
    window = _window(operation)
    if isinstance(window, str):
        return window
    return [operation.attributes.get("storage_order", 0), *window.kernel, *window.parameters()]


def _average_pool(operation: Operation) -> Parameters | str:
    window = _window(operation)
    if isinstance(window, str):
        return window
    counted = int(operation.attributes["count_include_pad"])
    return [counted, *window.kernel, *window.parameters(), *window.ends]


def _scalar_axis(operation: Operation) -> Parameters | str:
    return [_axis(operation)]


def _arg(operation: Operation) -> Parameters:
    return [_axis(operation), int(operation.attributes["select_last_index"])]


def _cumsum(operation: Operation) -> Parameters:
    return [_axis(operation), int(operation.attributes["exclusive"]), int(operation.attributes["reverse"])]


def _topk(operation: Operation) -> Parameters:
    return [_axis(operation), int(operation.attributes["largest"]), int(operation.attributes["sorted"])]


def _norm(operation: Operation) -> Parameters:
    return [_axis(operation), double_bits(operation.attributes["epsilon"])]


def _shape_range(operation: Operation) -> Parameters:
    rank = len(_shape(operation))
    start, end = operation.attributes["start"], operation.attributes["end"]
    first, last, _ = slice(start, end).indices(rank)
    return [first, max(first, last)]


def _stream(*names: str) -> Callable[[Operation], Parameters]:
    def parameters(operation: Operation) -> Parameters:
        seed = seed_word(operation.attributes["seed"])
        return [int(seed is not None), seed or 0, *(double_bits(operation.attributes[name]) for name in names)]

    return parameters


_FLOAT_FUNCTIONS = (
    "floor", "ceil", "round", "exp", "log", "sqrt", "erf", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
    "tanh", "asinh", "acosh", "atanh", "sigmoid", "silu",
)  # fmt: skip

LIBRARY: dict[str, LibraryKernel] = {
    f"mm.{kernel.name}": kernel
    for kernel in (
        *(LibraryKernel(name, NUMBER) for name in ("neg", "abs", "sign", "relu")),
        *(LibraryKernel(name, FLOATS) for name in _FLOAT_FUNCTIONS),
        LibraryKernel("is_nan", ANY_FLOAT),
        *(
            LibraryKernel(name, NUMBER)
            for name in ("add", "sub", "mul", "div", "pow", "mod", "fmod", "maximum", "minimum")
        ),
        *(LibraryKernel(name, SCALAR) for name in ("equal", "less", "less_or_equal")),
        *(LibraryKernel(name, BOOL) for name in ("logical_not", "logical_and", "logical_or", "logical_xor")),
        *(LibraryKernel(name, INTEGERS | BOOL) for name in ("bitwise_and", "bitwise_or", "bitwise_xor")),
        *(LibraryKernel(name, INTEGERS) for name in ("bitwise_not", "shift_left", "shift_right")),
        LibraryKernel("leaky_relu", FLOATS, lambda op: [double_bits(op.attributes["alpha"])]),
        LibraryKernel("gelu", FLOATS, lambda op: [int(op.attributes["approximate"] == "tanh")]),
        LibraryKernel("is_inf", ANY_FLOAT, _flags("detect_negative", "detect_positive")),
        LibraryKernel("cast", ANY, _cast),
        LibraryKernel("bit_cast", ANY),
        LibraryKernel("select", BOOL),
        LibraryKernel("reshape", ANY, operands=(0,)),
        LibraryKernel("expand", ANY, operands=(0,)),
        LibraryKernel("transpose", ANY, _permutation),
        LibraryKernel("slice", ANY, _slice, operands=(0,)),
        LibraryKernel("reverse", ANY, _reverse),
        LibraryKernel("concat", ANY, _scalar_axis),
        LibraryKernel("gather", ANY, _scalar_axis),
        LibraryKernel("gather_elements", ANY, _scalar_axis),
        LibraryKernel("gather_nd", ANY, _flags("batch_dims")),
        LibraryKernel("scatter_elements", ANY, _scatter),
        LibraryKernel("scatter_nd", ANY, _scatter),
        LibraryKernel("range", NUMBER),
        LibraryKernel("iota", NUMBER, _iota, operands=()),
        LibraryKernel("random_uniform", FLOATS, _stream("low", "high"), operands=()),
        LibraryKernel("random_normal", FLOATS, _stream("mean", "scale"), operands=()),
        LibraryKernel("shape", ANY, _shape_range),
        *(LibraryKernel(name, NUMBER, _reduced) for name in ("reduce_sum", "reduce_prod")),
        *(LibraryKernel(name, SCALAR, _reduced) for name in ("reduce_max", "reduce_min")),
        *(LibraryKernel(name, SCALAR, _arg) for name in ("argmax", "argmin")),
        LibraryKernel("cumsum", NUMBER, _cumsum),
        LibraryKernel("topk", SCALAR, _topk, operands=(0,)),
        LibraryKernel("greedy_nms", FLOATS, _flags("center_point_box")),
        LibraryKernel("matmul", NUMBER),
        LibraryKernel("conv", NUMBER, _conv),
        LibraryKernel("conv_transpose", NUMBER, _conv_transpose),
        LibraryKernel("max_pool", NUMBER, _max_pool),
        LibraryKernel("average_pool", FLOATS, _average_pool),
        LibraryKernel("resize", NUMBER, resize_parameters, operands=(0,)),
        LibraryKernel("quantize", FLOATS, _quantization),
        LibraryKernel("dequantize", QUANTIZED, _quantization),
        LibraryKernel("softmax", FLOATS, _scalar_axis),
        LibraryKernel("log_softmax", FLOATS, _scalar_axis),
        LibraryKernel("layer_norm", FLOATS, _norm),
        LibraryKernel("rms_norm", FLOATS, _norm),
    )
}
LIBRARY["mm.max_pool_with_indices"] = LibraryKernel("max_pool", NUMBER, _max_pool)
LIBRARY["mm.pad"] = LibraryKernel("pad", ANY, _pad, operands=(0, 2))
