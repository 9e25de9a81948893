"""Recurrent networks against ONNX Runtime and torch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import mm_core as mm
from mm_core.testing.interpreter import interpret, lower
from mm_core.testing.opcheck import opcheck

RNG = np.random.default_rng(10)
LENGTH, BATCH, FEATURES, HIDDEN = 5, 3, 4, 6
GATES = {"rnn": 1, "gru": 3, "lstm": 4}
VARIANTS = [("rnn", {}), ("gru", {}), ("gru", {"linear_before_reset": 1}), ("lstm", {}), ("lstm", {"input_forget": 1})]


def normal(*shape: int) -> Any:
    return (RNG.standard_normal(shape) * 0.5).astype(np.float32)


def operands(op: str, directions: int, lens: Any = None) -> list[Any]:
    """x, w, r, b, sequence_lens and the initial states; for lstm peepholes too."""
    rows = GATES[op] * HIDDEN
    found = [
        normal(LENGTH, BATCH, FEATURES), normal(directions, rows, FEATURES), normal(directions, rows, HIDDEN),
        normal(directions, 2 * rows), lens, normal(directions, BATCH, HIDDEN),
    ]  # fmt: skip
    if op == "lstm":
        found += [normal(directions, BATCH, HIDDEN), normal(directions, 3 * HIDDEN)]
    return found


@pytest.mark.parametrize(("op", "extra"), VARIANTS)
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize("lens", [None, np.array([5, 2, 3], np.int32)], ids=["whole", "lens"])
def test_recurrent_is_onnx_runtimes(
    reference: Any, run_onnx: Any, op: str, extra: dict[str, int], direction: str, lens: Any
) -> None:
    inputs = operands(op, 2 if direction == "bidirectional" else 1, lens)
    outputs = 3 if op == "lstm" else 2
    wanted = run_onnx(op.upper(), *inputs, opset=14, outputs=outputs, hidden_size=HIDDEN, direction=direction, **extra)
    found = reference(f"mm.{op}", *inputs, direction=direction, **extra)
    for mine, theirs in zip(found, wanted):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    opcheck(f"mm.{op}", inputs, {"direction": direction, **extra})


@pytest.mark.parametrize(
    ("names", "ours", "alpha", "beta"),
    [
        (["Relu"], ("relu",), [], []),
        (["LeakyRelu"], ("leaky_relu",), [0.2], []),
        (["HardSigmoid"], ("hard_sigmoid",), [0.3], [0.4]),
        (["ScaledTanh"], ("scaled_tanh",), [1.5], [0.7]),
        (["Affine"], ("affine",), [0.5], [0.1]),
        (["Elu"], ("elu",), [0.9], []),
        (["Softsign"], ("softsign",), [], []),
        (["Softplus"], ("softplus",), [], []),
        (["ThresholdedRelu"], ("thresholded_relu",), [0.1], []),
    ],
)
def test_activations_are_onnx_runtimes(
    reference: Any, run_onnx: Any, names: list[str], ours: tuple[str, ...], alpha: list[float], beta: list[float]
) -> None:
    inputs = operands("rnn", 1)
    given = {name: value for name, value in (("activation_alpha", alpha), ("activation_beta", beta)) if value}
    wanted = run_onnx("RNN", *inputs, opset=14, outputs=2, hidden_size=HIDDEN, activations=names, **given)
    found = reference("mm.rnn", *inputs, activations=ours, **given)
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5, atol=1e-5)
    opcheck("mm.rnn", inputs, {"activations": ours, **given})


def test_clip_is_onnx_runtimes(reference: Any, run_onnx: Any) -> None:
    inputs = operands("gru", 1)
    wanted = run_onnx("GRU", *inputs, opset=14, outputs=2, hidden_size=HIDDEN, clip=0.2)
    np.testing.assert_allclose(reference("mm.gru", *inputs, clip=0.2)[0], wanted[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("op", GATES)
def test_batch_first(reference: Any, op: str) -> None:
    inputs = operands(op, 2)
    plain = reference(f"mm.{op}", *inputs, direction="bidirectional")
    turned = [item.swapaxes(0, 1) if index in (0, 5, 6) else item for index, item in enumerate(inputs)]
    found = reference(f"mm.{op}", *turned, direction="bidirectional", layout=1)
    np.testing.assert_array_equal(found[0], plain[0].transpose(2, 0, 1, 3))
    np.testing.assert_array_equal(found[1], plain[1].swapaxes(0, 1))
    opcheck(f"mm.{op}", turned, {"direction": "bidirectional", "layout": 1})


def test_lstm_is_torchs(reference: Any) -> None:
    module = torch.nn.LSTM(FEATURES, HIDDEN)
    x = normal(LENGTH, BATCH, FEATURES)
    with torch.no_grad():
        wanted, (h, c) = module(torch.tensor(x))

    def onnx_order(weights: torch.Tensor) -> Any:
        """torch has the gates as i, f, c, o."""
        i, f, cell, o = weights.detach().numpy().reshape(4, HIDDEN, -1)
        return np.concatenate([i, o, f, cell])[None]

    w, r = onnx_order(module.weight_ih_l0), onnx_order(module.weight_hh_l0)
    b = np.concatenate([onnx_order(module.bias_ih_l0), onnx_order(module.bias_hh_l0)], axis=1)[..., 0]
    y, y_h, y_c = reference("mm.lstm", x, w, r, b)
    for mine, theirs in ((y[:, 0], wanted), (y_h, h), (y_c, c)):
        np.testing.assert_allclose(mine, theirs.numpy(), rtol=1e-5, atol=1e-6)


def test_half_precision() -> None:
    small = [None if item is None else item.astype(np.float16) for item in operands("lstm", 1)]
    opcheck("mm.lstm", small)


@pytest.mark.parametrize("op", GATES)
def test_length_and_batch_may_be_symbols(op: str) -> None:
    """Decomposed with unknown sizes, then run with two different ones."""
    x, w, r, b, *_ = operands(op, 1)
    network = mm.Network()
    symbolic = network.add_input("x", mm.float32, ("L", "B", FEATURES))
    lens = network.add_input("lens", mm.int32, ("B",))
    results = getattr(network, op)(symbolic, w, r, b, lens)
    network.mark_output(results[0], "y")
    assert str(results[0].type) == f'tensor<?x1x?x{HIDDEN}xf32, ["L", "B"]>'
    lowered = network.clone()
    assert lower(lowered) == []
    for length, batch in ((LENGTH, BATCH), (2, 1)):
        given = [x[:length, :batch], np.full(batch, length, np.int32)]
        np.testing.assert_allclose(interpret(lowered, given)[0], interpret(network, given)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("symbolic", [False, True])
@pytest.mark.parametrize("direction", ["forward", "reverse", "bidirectional"])
@pytest.mark.parametrize(("op", "extra"), [*VARIANTS, ("rnn", {"layout": 1}), ("lstm", {"clip": 0.3})])
def test_the_cpu_runs_recurrent_networks(
    reference: Any, run_cpu: Any, op: str, extra: dict[str, Any], direction: str, symbolic: bool
) -> None:
    directions = 2 if direction == "bidirectional" else 1
    attributes = {"direction": direction, "hidden_size": HIDDEN, **extra}
    for lens in (None, np.array([5, 2, 3], np.int32)):
        inputs = operands(op, directions, lens)
        if attributes.get("layout"):
            inputs = [item.swapaxes(0, 1) if index in (0, 5, 6) else item for index, item in enumerate(inputs)]
        wanted = reference(f"mm.{op}", *inputs, **attributes)
        for mine, theirs in zip(run_cpu(op, *inputs, symbolic=symbolic, **attributes), wanted, strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "affine", "leaky_relu", "thresholded_relu", "scaled_tanh",
                                        "hard_sigmoid", "elu", "softsign", "softplus", "sigmoid"])  # fmt: skip
def test_the_cpu_runs_every_activation(reference: Any, run_cpu: Any, activation: str) -> None:
    inputs, attributes = operands("rnn", 1)[:4], {"activations": (activation,)}
    wanted = reference("mm.rnn", *inputs, **attributes)
    for mine, theirs in zip(run_cpu("rnn", *inputs, **attributes), wanted, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "attributes", "message"),
    [
        ({1: normal(1, 6, 5)}, {}, "features of x and of w differ: 4 and 5"),
        ({2: normal(1, 5, 6)}, {}, "rows of r"),
        ({}, {"direction": "bidirectional"}, "directions of w"),
        ({}, {"hidden_size": 9}, "hidden size"),
        ({}, {"activations": ("swish",)}, "none of relu"),
        ({}, {"activations": ("relu", "relu")}, "2 activations, needed are 1"),
    ],
)
def test_recurrent_refuses(change: dict[int, Any], attributes: dict[str, Any], message: str) -> None:
    network = mm.Network()
    given = [change.get(index, value) for index, value in enumerate(operands("rnn", 1)[:3])]
    with pytest.raises(mm.VerifyError, match=message):
        network.rnn(*given, **attributes)
