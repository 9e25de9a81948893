"""Real networks on the emulated MLU against the CPU: results, violations (they stop a run), what runs on the device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mm_core as mm
from tests import zoo

DIGITS = Path(__file__).parent.parent / "examples" / "digits"
NAMES = ("resnet50", "mobilenet_v2", "bert_base", "minilm_l6")
TOLERANCE = {"force_float32": 1e-3, "force_float16": 3e-2}
"""Of the largest output."""
ON_DEVICE = 0.95


Arrays = dict[str, np.ndarray]


def _ran(network: mm.Network, inputs: Arrays, **config: object) -> tuple[Arrays, mm.Model]:
    model = mm.Builder(mm.BuilderConfig(**config)).build(network)
    return mm.Engine(model).create_context().run(inputs), model


def _errors(got: Arrays, wanted: Arrays) -> float:
    """The largest error of any output, of that output's largest number."""
    assert got.keys() == wanted.keys()
    assert all(got[name].dtype == array.dtype for name, array in wanted.items())
    return float(np.max([np.abs(got[name] - array).max() / np.abs(array).max() for name, array in wanted.items()]))


def _compare(name: str, network: mm.Network, inputs: Arrays) -> None:
    wanted, _ = _ran(network, inputs, backends=["cpu"])
    for precision, tolerance in TOLERANCE.items():
        got, model = _ran(network, inputs, backends=["mlu", "cpu"], precision=precision, strict=True)
        placement = model.report.placement
        share = sum("mlu" in record.device for record in placement) / len(placement)
        assert share >= ON_DEVICE, f"{name}, {precision}: {share:.0%} on the device"
        error = _errors(got, wanted)
        if precision == "force_float16" and error > tolerance:  # float16 itself spoils it: as good as the CPU's
            rounded, _ = _ran(network, inputs, backends=["cpu"], precision=precision)
            tolerance = 1.25 * _errors(rounded, wanted)
        assert error <= tolerance, f"{name}, {precision}: {error}"


def _check(name: str, small: bool) -> None:
    file = zoo.build(name, batch=1, small=small)
    _compare(name, mm.parse(str(file.path)), file.inputs)


def test_digits() -> None:
    with np.load(DIGITS / "held_out.npz") as archive:
        images = archive["images"][:, None].astype(np.float32) / 16
    network = mm.parse(str(DIGITS / "digits.onnx"), input_shapes={"image": images.shape})
    _compare("digits", network, {"image": images})


@pytest.mark.parametrize("name", NAMES)
def test_small_networks(name: str) -> None:
    _check(name, small=True)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_whole_networks(name: str) -> None:
    _check(name, small=False)
