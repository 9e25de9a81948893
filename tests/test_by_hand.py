"""Networks built operator by operator: right on every backend, and equal to the same networks read from ONNX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mm_core as mm

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import numpy_helper, parser  # noqa: E402

Weights = dict[str, np.ndarray]


def weights(**shapes: tuple[int, ...]) -> Weights:
    """Random weights whose scale keeps activations near one."""
    rng = np.random.default_rng(0)
    return {
        name: (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)
        for name, shape in shapes.items()
    }


def onnx_model(text: str, parameters: Weights, opset: int = 18) -> onnx.ModelProto:
    """A model from ONNX's text syntax, with its initializers."""
    model = parser.parse_model(f'<ir_version: 9, opset_import: ["" : {opset}]>\n{text}')
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in parameters.items())
    onnx.checker.check_model(model)
    return model


def run(network: mm.Network, backend: str, inputs: dict[str, Any], **options: object) -> dict[str, Any]:
    model = mm.Builder(mm.BuilderConfig(backends=[backend], **options)).build(network)
    return model.create_engine().create_context().run(inputs)


def by_onnxruntime(model: onnx.ModelProto, inputs: dict[str, Any]) -> list[Any]:
    """The independent answer."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {name: np.asarray(value) for name, value in inputs.items()})


# ---- the networks ------------------------------------------------------------------------------------------------

LENET = weights(
    c1=(6, 1, 5, 5), b1=(6,), c2=(16, 6, 5, 5), b2=(16,), f1=(120, 256), d1=(120,), f2=(84, 120), d2=(84,),
    f3=(10, 84), d3=(10,),
)  # fmt: skip
LENET_TEXT = """lenet (float[N, 1, 28, 28] x) => (float[N, 10] y) {
    a1 = Conv (x, c1, b1)
    r1 = Relu (a1)
    p1 = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r1)
    a2 = Conv (p1, c2, b2)
    r2 = Relu (a2)
    p2 = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (r2)
    flat = Flatten (p2)
    g1 = Gemm <transB = 1> (flat, f1, d1)
    s1 = Relu (g1)
    g2 = Gemm <transB = 1> (s1, f2, d2)
    s2 = Relu (g2)
    g3 = Gemm <transB = 1> (s2, f3, d3)
    y = Softmax (g3)
}"""


def lenet() -> mm.Network:
    w = LENET
    net = mm.Network("lenet")
    x = net.add_input("x", mm.float32, ("N", 1, 28, 28))
    for kernel, bias in (("c1", "b1"), ("c2", "b2")):
        x = net.relu(net.conv(x, w[kernel], w[bias]), name=f"relu_{kernel}")
        x = net.max_pool(x, kernel_shape=(2, 2), strides=(2, 2))
    x = net.flatten(x)
    x = net.relu(net.linear(x, w["f1"], w["d1"]))
    x = net.relu(net.linear(x, w["f2"], w["d2"]))
    net.mark_output(net.softmax(net.linear(x, w["f3"], w["d3"]), axis=-1), "y")
    return net


RESIDUAL = weights(w1=(8, 8, 3, 3), w2=(16, 8, 3, 3), w3=(16, 8, 1, 1)) | {
    f"{name}{stage}": (np.random.default_rng(stage).random(16 if stage == 2 else 8) + 0.5).astype(np.float32)
    for stage in (1, 2)
    for name in ("scale", "bias", "mean", "variance")
}
RESIDUAL_TEXT = """residual (float[N, 8, 14, 14] x) => (float[N, 16] y) {
    a = Conv <pads = [1, 1, 1, 1]> (x, w1)
    an = BatchNormalization (a, scale1, bias1, mean1, variance1)
    ar = Relu (an)
    b = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (ar, w2)
    bn = BatchNormalization (b, scale2, bias2, mean2, variance2)
    s = Conv <strides = [2, 2]> (x, w3)
    sum = Add (bn, s)
    r = Relu (sum)
    g = GlobalAveragePool (r)
    y = Flatten (g)
}"""


def residual() -> mm.Network:
    w = RESIDUAL
    net = mm.Network("residual")
    x = net.add_input("x", mm.float32, ("N", 8, 14, 14))

    def norm(value: mm.Value, stage: int) -> mm.Value:
        return net.batch_norm(value, *(w[f"{name}{stage}"] for name in ("scale", "bias", "mean", "variance")))

    main = net.relu(norm(net.conv(x, w["w1"], pads=(1, 1, 1, 1)), 1))
    main = norm(net.conv(main, w["w2"], pads=(1, 1, 1, 1), strides=(2, 2)), 2)
    shortcut = net.conv(x, w["w3"], strides=(2, 2))
    pooled = net.global_average_pool(net.relu(net.add(main, shortcut)))
    net.mark_output(net.flatten(pooled), "y")
    return net


WIDTH, HEADS = 32, 4
TRANSFORMER = weights(
    wq=(WIDTH, WIDTH), wk=(WIDTH, WIDTH), wv=(WIDTH, WIDTH), wo=(WIDTH, WIDTH), up=(WIDTH, 4 * WIDTH),
    down=(4 * WIDTH, WIDTH), g1=(WIDTH,), h1=(WIDTH,), g2=(WIDTH,), h2=(WIDTH,), bias=(4 * WIDTH,),
)  # fmt: skip
TRANSFORMER_CONSTANTS = {
    "heads": np.array([0, 0, HEADS, WIDTH // HEADS], np.int64),
    "joined": np.array([0, 0, WIDTH], np.int64),
    "scale": np.float32(1 / np.sqrt(WIDTH // HEADS)).reshape(()),
    "half": np.array(0.5, np.float32),
    "one": np.array(1, np.float32),
    "root": np.array(np.sqrt(2), np.float32),
}
TRANSFORMER_TEXT = """transformer (float[N, T, 32] x) => (float[N, T, 32] y) {
    n = LayerNormalization (x, g1, h1)
    q0 = MatMul (n, wq)
    k0 = MatMul (n, wk)
    v0 = MatMul (n, wv)
    q1 = Reshape (q0, heads)
    k1 = Reshape (k0, heads)
    v1 = Reshape (v0, heads)
    q = Transpose <perm = [0, 2, 1, 3]> (q1)
    k = Transpose <perm = [0, 2, 3, 1]> (k1)
    v = Transpose <perm = [0, 2, 1, 3]> (v1)
    s0 = MatMul (q, k)
    s = Mul (s0, scale)
    p = Softmax <axis = -1> (s)
    c0 = MatMul (p, v)
    c1 = Transpose <perm = [0, 2, 1, 3]> (c0)
    c2 = Reshape (c1, joined)
    c = MatMul (c2, wo)
    r = Add (x, c)
    m = LayerNormalization (r, g2, h2)
    u0 = MatMul (m, up)
    u = Add (u0, bias)
    e0 = Div (u, root)
    e1 = Erf (e0)
    e2 = Add (e1, one)
    e3 = Mul (u, e2)
    gelu = Mul (e3, half)
    d = MatMul (gelu, down)
    y = Add (r, d)
}"""


def transformer() -> mm.Network:
    w = TRANSFORMER
    net = mm.Network("transformer")
    x = net.add_input("x", mm.float32, ("N", "T", WIDTH))
    normed = net.layer_norm(x, w["g1"], w["h1"])
    rows = net.shape(x, end=2)
    split = net.concat(rows, np.array([HEADS, WIDTH // HEADS]), axis=0)
    q, k, v = (
        net.transpose(net.reshape(net.matmul(normed, w[name]), split), permutation=(0, 2, 1, 3))
        for name in ("wq", "wk", "wv")
    )
    attended = net.transpose(net.attention(q, k, v, name="attention"), permutation=(0, 2, 1, 3))
    joined = net.reshape(attended, net.concat(rows, np.array([WIDTH]), axis=0))
    middle = net.add(x, net.matmul(joined, w["wo"]))
    up = net.gelu(net.add(net.matmul(net.layer_norm(middle, w["g2"], w["h2"]), w["up"]), w["bias"]))
    net.mark_output(net.add(middle, net.matmul(up, w["down"])), "y")
    return net


CHOICE_TEXT = """choice (bool c, float[N] x) => (float[N] y) {
    y = If (c) <
        then_branch = then_graph () => (float[N] a) { a = Relu (x) },
        else_branch = else_graph () => (float[N] b) { n = Neg (x)  b = Add (n, x) }
    >
}"""


def choice() -> mm.Network:
    net = mm.Network("choice")
    condition = net.add_input("c", mm.bool_, ())
    x = net.add_input("x", mm.float32, ("N",))
    yes, no = mm.ir.Graph(within=net), mm.ir.Graph(within=net)
    yes.set_outputs([yes.relu(yes.add_argument(x.type))])
    inside = no.add_argument(x.type)
    no.set_outputs([no.add(no.neg(inside), inside)])
    net.mark_output(net.if_(condition, x, regions=(yes, no))[0], "y")
    return net


REPEAT_TEXT = """repeat (int64 n, float[K] x) => (float[K] y, float[n, K] all) {
    start = Constant <value_ints = [1]> ()
    always = Cast <to = 9> (start)
    go = Squeeze (always)
    y, all = Loop (n, go, x) <body = once (int64 i, bool c, float[K] value) => (bool c2, float[K] next, float[K] out) {
        f = Cast <to = 1> (i)
        next = Add (value, f)
        out = Mul (next, next)
        c2 = Identity (c)
    }>
}"""


def repeat() -> mm.Network:
    net = mm.Network("repeat")
    count = net.add_input("n", mm.int64, ())
    x = net.add_input("x", mm.float32, ("K",))
    body = mm.ir.Graph(within=net)
    iteration = body.add_argument(count.type)
    condition = body.add_argument(mm.TensorType(mm.bool_, ()))
    value = body.add_argument(x.type)
    following = body.add(value, body.cast(iteration, to=mm.float32))
    body.set_outputs([condition, following, body.mul(following, following)])
    last, every = net.loop(count, None, x, carried=1, regions=(body,))
    net.mark_output(last, "y")
    net.mark_output(every, "all")
    return net


def image(batch: int, *shape: int) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(batch).standard_normal((batch, *shape)).astype(np.float32)}


CASES: dict[str, tuple[Callable[[], mm.Network], str, Weights, list[dict[str, Any]]]] = {
    "lenet": (lenet, LENET_TEXT, LENET, [image(1, 1, 28, 28), image(3, 1, 28, 28)]),
    "residual": (residual, RESIDUAL_TEXT, RESIDUAL, [image(1, 8, 14, 14), image(2, 8, 14, 14)]),
    "transformer": (
        transformer, TRANSFORMER_TEXT, TRANSFORMER | TRANSFORMER_CONSTANTS, [image(1, 7, WIDTH), image(2, 16, WIDTH)],
    ),
    "choice": (
        choice, CHOICE_TEXT, {},
        [{"c": np.array(flag), "x": np.array([-1.5, 2], np.float32)} for flag in (True, False)],
    ),
    "repeat": (
        repeat, REPEAT_TEXT, {}, [{"n": np.int64(n), "x": np.array([1, -2, 0.5], np.float32)} for n in (3, 1, 0)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("opt_level", [0, 2])
@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("case", CASES)
def test_by_hand_is_as_from_onnx_and_as_onnx_runtime_says(case: str, backend: str, opt_level: int) -> None:
    build, text, parameters, requests = CASES[case]
    source = onnx_model(text, parameters)
    by_hand, parsed = build(), mm.parse(source)
    by_hand.verify()
    parsed.verify()
    assert [str(spec.type) for spec in by_hand.inputs] == [str(spec.type) for spec in parsed.inputs]
    for inputs in requests:
        wanted = by_onnxruntime(source, inputs)
        for network in (by_hand, parsed):
            got = run(network, backend, inputs, opt_level=opt_level)
            for array, expected in zip(got.values(), wanted, strict=True):
                assert array.dtype == expected.dtype
                if not expected.size:
                    # Of a loop that never ran ONNX Runtime forgets the sizes of unknown axes, and we do not.
                    assert array.shape == (0, 3)
                    continue
                np.testing.assert_allclose(array, expected, rtol=1e-4, atol=1e-5, strict=True)


@pytest.mark.parametrize("case", CASES)
def test_the_text_reads_back(case: str) -> None:
    network = CASES[case][0]()
    again = mm.Network.from_text(str(network), network.weights())
    assert str(again) == str(network)
    again.verify()


@pytest.mark.parametrize("case", ["lenet", "residual", "transformer"])
def test_the_cpu_runs_them_without_any_fallback(case: str) -> None:
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(CASES[case][0]())
    assert model.backends == ["cpu"]
    assert {record.kind for record in model.report.placement} == {"native"}
    assert model.plan.main.instructions[0].tag == "launch"
    assert len(model.plan.main.instructions) == 1
