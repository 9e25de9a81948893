"""An operator and a kernel for it, each from a package of its own: from an ONNX node to a file that needs neither."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

OPERATORS = '''
from mm_core.ops import FLOATS, Attribute, OpDef, Operand

class ChannelScale(OpDef):
    """x * factor for each index of axis 1, to a power."""
    name = "acme.channel_scale"
    operands = (Operand("x"), Operand("factor"))
    attributes = (Attribute("power", int, 1),)
    dtypes = {"T": FLOATS}
    def infer(self, types, values, *, power):
        return types[0].shape
    def reference(self, x, factor, *, power):
        return x * factor[:, None] ** power
    def decompose(self, graph, x, factor, *, power):
        scale = graph.reshape(factor, (-1, 1))
        for _ in range(power):
            x = graph.mul(x, scale)
        return x

OPS = (ChannelScale,)
'''

KERNELS = '''
from mm_backend_cpu.kernels import Parameters, Rule, kernel_source, shape_of, tensor_type

def check(operation):
    dtype = tensor_type(operation.result).dtype.name
    return "" if dtype == "float32" else f"the kernel is for float32, not {dtype}"

def lower(low, operation):
    x, factor = operation.operands
    batch, channels, width = shape_of(x)
    params = Parameters()
    code = f"""
static void KERNEL_NAME(const mm_call* call, int64_t begin, int64_t end, void* scratch) {{
  const float* x = call->data[0]; const float* factor = call->data[1]; float* y = call->data[2];
  const int64_t width = {params.c(width)}, channels = {params.c(channels)};
  for (int64_t row = begin; row < end; ++row) {{
    float scale = 1.0f;
    for (int k = 0; k < {operation.attributes["power"]}; ++k) scale *= factor[row % channels];
    for (int64_t i = 0; i < width; ++i) y[row * width + i] = x[row * width + i] * scale;
  }}
}}
"""
    source = kernel_source("acme", code, tasks=batch * channels, params=tuple(params.dims), note="acme's kernel")
    low.generated(source, [low.dense(x), low.dense(factor)], [low.result(operation.result)], "channel_scale")

RULES = {"acme.channel_scale": (Rule(check, lower),)}
'''

BUILD = """
import sys
import numpy as np
import onnx
from onnx import TensorProto, helper
import mm_core as mm
from mm_core.testing.opcheck import opcheck

dtype, kernel = sys.argv[2:]
factor = np.array([1, 2, 3], dtype)
element = helper.np_dtype_to_tensor_dtype(factor.dtype)
node = helper.make_node("ChannelScale", ["x", "f"], ["y"], name="scaled", domain="com.acme", power=2)
shape = ["N", 3, "W"]
graph = helper.make_graph(
    [node], "g", [helper.make_tensor_value_info("x", element, shape)],
    [helper.make_tensor_value_info("y", element, shape)],
    [onnx.numpy_helper.from_array(factor, "f")])
source = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("com.acme", 1)])
network = mm.parse(source)
assert str(mm.Network.from_text(str(network), network.weights())) == str(network)
opcheck("acme.channel_scale", [np.ones((2, 3, 4), dtype), factor], {"power": 2})
model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
(placement,) = model.report.placement
assert (placement.op, placement.device, placement.kind) == ("acme.channel_scale", "cpu", "native"), placement
notes = {record.note for record in model.report.kernels}
assert ("acme's kernel" in notes) == (kernel == "theirs"), notes
model.save(sys.argv[1])
"""

RUN = """
import sys
import numpy as np
import mm_core as mm

model = mm.Model.load(sys.argv[1])
assert not any("acme" in text for text in model.requires.run), model.requires
for rows, width in ((1, 1), (2, 5)):
    x = np.arange(rows * 3 * width, dtype=sys.argv[2]).reshape(rows, 3, width)
    y = model.create_engine().create_context().run({"x": x})["y"]
    np.testing.assert_array_equal(y, x * np.array([[1], [4], [9]], x.dtype))
"""


def run(code: str, *arguments: str, site: Path | None = None) -> None:
    path = os.pathsep.join([*([str(site)] if site else []), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env={**os.environ, "PYTHONPATH": path}, capture_output=True,
        text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("dtype", "kernel"), [("float32", "theirs"), ("float64", "ours")])
def test_from_an_onnx_node_to_a_file_that_needs_no_package(tmp_path: Path, dtype: str, kernel: str) -> None:
    """float32 runs by the other package's kernel, float64 by the definition's decomposition."""
    site = tmp_path / "site"
    for package, group, name, code in (
        ("acme_operators", "mm.ops", "acme", OPERATORS), ("acme_kernels", "mm.kernels", "cpu.acme", KERNELS),
    ):  # fmt: skip
        information = site / f"{package}-1.0.dist-info"
        information.mkdir(parents=True)
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (information / "entry_points.txt").write_text(f"[{group}]\n{name} = {package}\n")
        (site / f"{package}.py").write_text(code)
    run(BUILD, str(tmp_path / "m.mm"), dtype, kernel, site=site)
    run(RUN, str(tmp_path / "m.mm"), dtype)
