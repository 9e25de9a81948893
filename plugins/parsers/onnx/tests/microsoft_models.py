"""One node of ONNX Runtime's own domain against ONNX Runtime: by the references, and by native code alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx_models import run, run_onnxruntime

import mm_core as mm

DOMAIN = "com.microsoft"
Inputs = Sequence[Any]


def node_model(
    op_type: str,
    inputs: Inputs,
    outputs: int | Sequence[str] = 1,
    constants: Sequence[int] = (),
    domain: str = DOMAIN,
    standard: int = 21,
    free: Mapping[int, Sequence[Any]] | None = None,
    **attributes: Any,
) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """A model of one node, and what to feed it. None is an absent input; `constants` become initializers.

    `outputs` is their number, or their names with empty ones for those that are not wanted. `free` gives other
    shapes to inputs, with names for sizes; `standard` is the version of the standard operators.
    """
    arrays = {f"x{index}": np.asarray(value) for index, value in enumerate(inputs) if value is not None}
    names = [f"x{index}" if value is not None else "" for index, value in enumerate(inputs)]
    results = [f"y{index}" for index in range(outputs)] if isinstance(outputs, int) else list(outputs)
    node = helper.make_node(op_type, names, results, name="it", domain=domain, **attributes)
    fixed = {f"x{index}" for index in constants}
    shapes = {f"x{index}": shape for index, shape in (free or {}).items()}
    graph = helper.make_graph(
        [node],
        "one",
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), shapes.get(name, array.shape)
            )
            for name, array in arrays.items()
            if name not in fixed
        ],
        [_declared(name) for name in results if name],
        [numpy_helper.from_array(arrays[name], name) for name in sorted(fixed)],
    )
    imports = [helper.make_opsetid("", standard), helper.make_opsetid(DOMAIN, 1)]
    proto = helper.make_model(graph, opset_imports=imports, ir_version=10)
    return proto, {name: array for name, array in arrays.items() if name not in fixed}


def _declared(name: str) -> onnx.ValueInfoProto:
    """A result without a type; those called qk are float32, which ONNX Runtime cannot infer."""
    if name == "qk":
        return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
    return onnx.ValueInfoProto(name=name)


def run_native(proto: onnx.ModelProto, inputs: dict[str, Any]) -> list[Any]:
    """The outputs by the CPU backend, where nothing may fall back to numpy."""
    built = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(mm.parse(proto))
    outputs = built.create_engine().create_context().run(inputs)
    return [outputs[output.name] for output in proto.graph.output]


def check(
    op_type: str, inputs: Inputs, outputs: int | Sequence[str] = 1, *, tolerance: float = 1e-5, steps: int = 0,
    expected: Sequence[Any] | None = None, **settings: Any,
) -> list[Any]:  # fmt: skip
    """One node equals ONNX Runtime, or `expected`, by references and natively; what was expected is given back.

    `steps` is how far integers may be off where rounding may fall to either side; of those at most 2 % may be.
    """
    proto, fed = node_model(op_type, inputs, outputs, **settings)
    wanted = run_onnxruntime(proto, fed) if expected is None else list(expected)
    for how in (run, run_native):
        got = how(mm.parse(proto) if how is run else proto, fed)
        assert len(got) == len(wanted)
        for left, right in zip(got, wanted):
            assert_close(left, right, tolerance, steps, how.__name__)
    return wanted


def assert_close(left: Any, right: Any, tolerance: float, steps: int = 0, how: str = "") -> None:
    """Element types and shapes are equal, and values up to a tolerance, or up to `steps` for integers."""
    assert (left.dtype, left.shape) == (right.dtype, right.shape), how
    if right.dtype.kind in "biu":
        away = np.abs(left.astype(np.int64) - right.astype(np.int64))
        assert away.max(initial=0) <= steps, (how, left, right)
        assert np.count_nonzero(away) <= 0.02 * away.size, (how, np.count_nonzero(away), away.size)
    else:
        numbers = [np.asarray(side).astype(np.float64) for side in (left, right)]
        np.testing.assert_allclose(*numbers, rtol=tolerance, atol=tolerance, err_msg=how)


class Draw:
    """Random arrays, the same in every run."""

    def __init__(self, seed: int = 0) -> None:
        self._generator = np.random.default_rng(seed)

    def floats(self, *shape: int, dtype: Any = np.float32, scale: float = 1.0) -> Any:
        return (self._generator.standard_normal(shape) * scale).astype(dtype)

    def bytes(self, *shape: int, dtype: Any = np.uint8) -> Any:
        info = np.iinfo(dtype)
        return self._generator.integers(info.min, info.max + 1, shape).astype(dtype)

    def integers(self, low: int, high: int, *shape: int, dtype: Any = np.int32) -> Any:
        return self._generator.integers(low, high, shape).astype(dtype)
