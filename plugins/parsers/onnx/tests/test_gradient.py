"""Gradient nodes against finite differences in double precision, and against torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from onnx_models import model

import mm_core as mm

TRAINING = ', "ai.onnx.preview.training" : 1'
STEP = 1e-6


def differentiated(body: str, shapes: dict[str, tuple[int, ...]], free: bool = False) -> Any:
    """A model of y, made by `body` from doubles of the given shapes, and of the gradients by all of them."""
    sizes = {
        name: [f"{name}{axis}" if free else str(size) for axis, size in enumerate(shape)]
        for name, shape in shapes.items()
    }
    inputs = ", ".join(f"double[{', '.join(sizes[name])}] {name}" for name in shapes)
    names, quoted = ", ".join(shapes), ", ".join(f'"{name}"' for name in shapes)
    results = ", ".join(f"d{name}" for name in shapes)
    outputs = ", ".join(f"double[] {name}" for name in ("y", *results.split(", ")))
    text = f"""
        g ({inputs}) => ({outputs}) {{
            {body}
            {results} = ai.onnx.preview.training.Gradient <xs = [{quoted}], y = "y"> ({names})
        }}"""
    proto = model(text, extra=TRAINING)
    for value in (*proto.graph.input, *proto.graph.output):
        if value.name in shapes:
            value.type.tensor_type.shape.SetInParent()  # [] means "of any rank" in the text.
        else:
            value.type.tensor_type.ClearField("shape")
    return proto


def context_of(proto: Any) -> Any:
    config = mm.BuilderConfig(backends=["cpu"], strict=True)
    return mm.Builder(config).build(mm.parse(proto)).create_engine().create_context()


def values_of(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Numbers between 0.2 and 0.9: inside the domains of all functions, no two alike."""
    random, found = np.random.default_rng(8), {}
    for number, (name, shape) in enumerate(shapes.items()):
        count = int(np.prod(shape))
        found[name] = np.asarray(0.2 + 0.7 * (random.permutation(count).reshape(shape) + 0.1 * number) / count)
    return found


def numeric(context: Any, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The gradients of the sum of y by central differences."""
    found = {}
    for name, value in values.items():
        slopes = np.zeros(value.shape)
        for place in np.ndindex(value.shape):
            sums = []
            for step in (STEP, -STEP):
                moved = value.copy()
                moved[place] += step
                sums.append(context.run({**values, name: moved})["y"].sum())
            slopes[place] = (sums[0] - sums[1]) / (2 * STEP)
        found[f"d{name}"] = slopes
    return found


UNARY = [
    "Abs", "Acos", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Cos", "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu",
    "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "Log", "Mish", "Neg", "Reciprocal", "Relu", "Selu", "Sigmoid",
    "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Tan", "Tanh",
]  # fmt: skip


@pytest.mark.parametrize("op", UNARY)
def test_functions_of_one_element(op: str) -> None:
    check(f"a = {op}(x) y = Mul(a, x)", {"x": (2, 3)}, opset=20)


def check(body: str, shapes: dict[str, tuple[int, ...]], opset: int = 18, free: bool = False) -> None:
    proto = differentiated(body, shapes, free)
    proto.opset_import[0].version = opset
    context, values = context_of(proto), values_of(shapes)
    got = context.run(values)
    for name, wanted in numeric(context, values).items():
        assert got[name].shape == wanted.shape
        np.testing.assert_allclose(got[name], wanted, rtol=1e-6, atol=1e-7, err_msg=name)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Pow", "Max", "Min"])
@pytest.mark.parametrize("shapes", [((2, 3), (2, 3)), ((2, 3), (1, 3)), ((3,), (2, 1)), ((), (2, 2))])
def test_functions_of_two(op: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    check(f"a = {op}(x, w) y = Mul(a, a)", {"x": shapes[0], "w": shapes[1]})


def test_remainders() -> None:
    check("y = Mod <fmod = 1> (x, w)", {"x": (2, 3), "w": (3,)})


@pytest.mark.parametrize(
    ("left", "right"),
    [((2, 3), (3, 4)), ((3,), (3,)), ((3,), (3, 2)), ((2, 3), (3,)), ((5, 2, 3), (3, 2)), ((5, 1, 2, 3), (4, 3, 2))],
)
def test_products(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    check("a = MatMul(x, w) y = Mul(a, a)", {"x": left, "w": right})


@pytest.mark.parametrize(
    "body",
    [
        "y = Gemm <transA = 1, alpha = 0.5, beta = 2.0> (x, w, x)",
        "y = Softmax <axis = 1> (x) ",
        "a = LogSoftmax <axis = 0> (x) y = Mul(a, x)",
        "a = LayerNormalization <axis = 1> (x, w) y = Mul(a, x)",
        "a = Transpose (x) b = MatMul(a, x) y = Mul(b, w)",
        "a = Transpose <perm = [1, 0]> (x) b = MatMul(a, x) y = Mul(b, w)",
        "a = Concat <axis = 0> (x, w, x) y = Mul(a, a)",
        "s = Constant <value_ints = [-1]> () a = Reshape(x, s) y = Mul(a, a)",
        "s = Constant <value_ints = [2, 3, 3]> () a = Expand(x, s) y = Mul(a, a)",
        "b = Constant <value_ints = [0, 1]> () e = Constant <value_ints = [3, 3]> () a = Slice(x, b, e) y = Mul(a, a)",
        "b = Constant <value_ints = [-1]> () e = Constant <value_ints=[-9]> () a = Slice(x, b, e, b, b) y = Mul(a, w)",
        "i = Constant <value_ints = [2, 0, 2]> () a = Gather <axis = 1> (x, i) y = Mul(a, w)",
        "p = Constant <value_ints = [1, 0, 0, 2]> () f = ReduceMax <keepdims = 0> (w) a = Pad(x, p, f) y = Mul(a, a)",
        'p = Constant <value_ints = [1, 0, 0, 2]> () a = Pad <mode = "edge"> (x, p) y = Mul(a, a)',
        "r = Constant <value_ints = [2, 1]> () a = Tile(x, r) y = Mul(a, a)",
        "a, b = Split <num_outputs = 2, axis = 0> (x) y = Mul(a, a)",
        "s = Constant <value_ints = [0]> () a = Unsqueeze(x, s) b = Squeeze(a) c = Flatten(b) y = Mul(c, x)",
        "a = Less(x, w) b = Where(a, x, w) y = Mul(b, b)",
        "s = Constant <value_ints = [1]> () a = ReduceSum <keepdims = 0> (x, s) y = Mul(a, a)",
        "a = ReduceSum (x) y = Mul(a, a)",
        "s = Constant <value_ints = [0]> () a = ReduceMean (x, s) y = Mul(a, w)",
        "s = Constant <value_ints = [0]> () a = ReduceMax (x, s) y = Mul(a, w)",
        "a = ReduceMin <keepdims = 0> (x) y = Mul(a, w)",
        "s = Constant <value_ints = [1]> () a = ReduceL2 (x, s) y = Mul(a, w)",
        "s = Constant <value_ints = [1]> () a = ReduceLogSumExp (x, s) y = Mul(a, w)",
        "s = Constant <value_int = 1> () a = CumSum <reverse = 1, exclusive = 1> (x, s) y = Mul(a, w)",
        "a = Cast <to = 1> (x) b = Cast <to = 11> (a) c = Mul(x, x) y = Sub(c, w)",
        "a = Round(x) b = Add(a, x) y = Mul(b, w)",
    ],
    ids=lambda body: next(word for word in body.replace("(", " ").split() if word[0].isupper() and word != "Constant"),
)  # fmt: skip
def test_operators(body: str) -> None:
    check(body, {"x": (3, 3), "w": (3,) if "LayerNorm" in body else (3, 3)})


def test_sizes_may_be_free() -> None:
    body = "a = Transpose(x) b = MatMul(a, x) c = Concat <axis = 1> (b, b) d = Softmax(c) y = Mul(d, d)"
    check(body, {"x": (3, 2)}, free=True)


@pytest.mark.parametrize(
    ("image", "kernel", "attributes", "options"),
    [
        ((2, 3, 7, 6), (4, 3, 3, 2), "strides = [2, 1], pads = [1, 2, 1, 2]", {"stride": (2, 1), "padding": (1, 2)}),
        (
            (1, 4, 6, 6), (6, 2, 2, 3), "group = 2, dilations = [2, 1], strides = [1, 2]",
            {"groups": 2, "dilation": (2, 1), "stride": (1, 2)},
        ),
        ((2, 3, 8), (3, 1, 3), "group = 3, pads = [1, 1]", {"groups": 3, "padding": 1}),
    ],
)  # fmt: skip
def test_convolutions(
    image: tuple[int, ...], kernel: tuple[int, ...], attributes: str, options: dict[str, Any]
) -> None:
    shapes = {"x": image, "w": kernel, "b": kernel[:1]}
    values = values_of(shapes)
    proto = differentiated(f"a = Conv <{attributes}> (x, w, b) y = Mul(a, a)", shapes)
    got = context_of(proto).run(values)
    x, w, b = (torch.from_numpy(values[name]).requires_grad_() for name in shapes)
    convolve = torch.nn.functional.conv1d if len(image) == 3 else torch.nn.functional.conv2d
    (convolve(x, w, b, **options) ** 2).sum().backward()
    for name, tensor in (("dx", x), ("dw", w), ("db", b)):
        np.testing.assert_allclose(got[name], tensor.grad, rtol=1e-10)


def test_a_network_trained_for_a_step_equals_torch() -> None:
    """Two layers, a loss, its gradients, and Adam, in one model on the CPU."""
    text = """
        g (float[8, 4] x, int64[8] label, float[4, 6] w, float[6, 3] v, float[4, 6] m, float[4, 6] s)
        => (float loss, float[6, 3] dv, float[4, 6] new) {
            h = MatMul(x, w)
            r = Relu(h)
            z = MatMul(r, v)
            loss = SoftmaxCrossEntropyLoss(z, label)
            dw, dv = ai.onnx.preview.training.Gradient
                <xs = ["w", "v"], zs = ["x", "label"], y = "loss"> (w, v, x, label)
            rate = Constant <value = float {0.1}> ()
            step = Constant <value = int64 {1}> ()
            new, m2, s2 = ai.onnx.preview.training.Adam <epsilon = 0.00000001> (rate, step, w, dw, m, s)
        }"""
    random = np.random.default_rng(0)
    given = {
        name: random.standard_normal(shape).astype(np.float32)
        for name, shape in (("x", (8, 4)), ("w", (4, 6)), ("v", (6, 3)))
    }
    label = random.integers(0, 3, 8)
    zeros = np.zeros((4, 6), np.float32)
    got = context_of(model(text, extra=TRAINING)).run({**given, "label": label, "m": zeros, "s": zeros})
    x, w, v = (torch.from_numpy(given[name]).requires_grad_() for name in ("x", "w", "v"))
    loss = torch.nn.functional.cross_entropy(torch.relu(x @ w) @ v, torch.from_numpy(label))
    loss.backward()
    np.testing.assert_allclose(got["loss"], loss.detach(), rtol=1e-5)
    np.testing.assert_allclose(got["dv"], v.grad, rtol=1e-4, atol=1e-6)
    torch.optim.Adam([w], lr=0.1).step()
    # epsilon is added before torch corrects the root for few steps, after it in ONNX: not the same to the last digit.
    np.testing.assert_allclose(got["new"], w.detach(), rtol=1e-3, atol=1e-4)


def test_gradients_of_gradients_other_points_and_shared_ones() -> None:
    text = """
        g (double[2] x, double[2] p) => (double[2] first, double[2] second, double[2] there, double[2] a, double[2] b) {
            c = Mul(x, x)
            y = Mul(c, x)
            first = ai.onnx.preview.training.Gradient <xs = ["x"], y = "y"> (x)
            second = ai.onnx.preview.training.Gradient <xs = ["x"], y = "first"> (x)
            there = ai.onnx.preview.training.Gradient <xs = ["x"], y = "y"> (p)
            a, b = ai.onnx.preview.training.Gradient <xs = ["c", "x"], y = "y"> (p, p)
        }"""
    x, p = np.array([2.0, -1.0]), np.array([3.0, 0.5])
    got = context_of(model(text, extra=TRAINING)).run({"x": x, "p": p})
    wanted = {"first": 3 * x**2, "second": 6 * x, "there": 3 * p**2, "a": p, "b": p}
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-12, err_msg=name)


def test_gradients_of_gradients_do_not_grow_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mm_parser_onnx.gradient.MAX_OPERATIONS", 2000)
    steps = [f'y{n + 1} = ai.onnx.preview.training.Gradient <xs = ["x"], y = "y{n}"> (x)' for n in range(30)]
    text = f"g (double[2] x) => (double[2] y30) {{ s = Sigmoid(x) y0 = Exp(s) {' '.join(steps)} }}"
    with pytest.raises(mm.ParseError, match="grow beyond 2000"):
        mm.parse(model(text, extra=TRAINING))


def test_what_y_does_not_depend_on_has_gradient_zero() -> None:
    text = """
        g (double[2] x, double[3] w) => (double[3] dw) {
            y = Exp(x)
            dx, dw = ai.onnx.preview.training.Gradient <xs = ["x", "w"], y = "y"> (x, w)
        }"""
    got = context_of(model(text, extra=TRAINING)).run({"x": np.ones(2), "w": np.ones(3)})
    np.testing.assert_array_equal(got["dw"], np.zeros(3))


@pytest.mark.parametrize(
    ("body", "attributes", "match"),
    [
        ("y = ReduceProd(x)", 'xs = ["x"], y = "y"', "no derivative is known"),
        ("y = Exp(x)", 'xs = ["x"], y = "z"', "nothing is called 'z'"),
        ("y = Exp(x)", 'xs = ["x", "y"], y = "y"', "2 variables and has 1 inputs"),
        ("y = Exp(x)", 'xs = ["x"]', "needs the attribute 'y'"),
    ],
)
def test_refusals(body: str, attributes: str, match: str) -> None:
    node = f"dx = ai.onnx.preview.training.Gradient <{attributes}> (x)"
    text = f"g (double[2, 2] x) => (double[2, 2] dx) {{ {body} {node} }}"
    with pytest.raises(mm.MMError, match=match) as caught:
        mm.parse(model(text, extra=TRAINING))
    assert "dx (Gradient)" in str(caught.value)
