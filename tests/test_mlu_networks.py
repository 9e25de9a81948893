"""Real networks on the emulated MLU against the CPU: results, violations (they stop a run), what runs on the device.

Each prints its figures: errors of the largest output, the share of operations, and the seconds of one core that
emulation took.
"""

from __future__ import annotations

from pathlib import Path
from time import process_time

import numpy as np
import pytest

import mm_core as mm
from tests import zoo

DIGITS = Path(__file__).parent.parent / "examples" / "digits"
NAMES = ("resnet50", "mobilenet_v2", "bert_base", "minilm_l6")
TOLERANCE = {"force_float32": 1e-3, "force_float16": 3e-2}
"""Of the largest output."""
SENSITIVE = {"mobilenet_v2"}
"""Small networks whose random weights multiply errors: in float64 too, float16 weights alone cost 5 % of the output.

They have to be as good as the CPU in float16 is.
"""
ON_DEVICE = 0.95
MOST_SECONDS = 60.0


Arrays = dict[str, np.ndarray]


def _ran(network: mm.Network, inputs: Arrays, **config: object) -> tuple[Arrays, mm.Model, float]:
    """Outputs, the model, and the processor's seconds of the run."""
    model = mm.Builder(mm.BuilderConfig(strict=True, **config)).build(network)
    context = mm.Engine(model).create_context()
    begin = process_time()
    return context.run(inputs), model, process_time() - begin


def _error(got: Arrays, wanted: Arrays) -> float:
    """The largest error of any output, of that output's largest number."""
    assert got.keys() == wanted.keys()
    assert all(got[name].dtype == array.dtype for name, array in wanted.items())
    return float(np.max([np.abs(got[name] - array).max() / np.abs(array).max() for name, array in wanted.items()]))


def _compare(name: str, network: mm.Network, inputs: Arrays, is_sensitive: bool = False) -> None:
    wanted, *_ = _ran(network, inputs, backends=["cpu"])
    for precision, tolerance in TOLERANCE.items():
        target = {"mlu_arch": "mtp_372"}
        got, model, seconds = _ran(network, inputs, backends=["mlu", "cpu"], precision=precision, target=target)
        placement = model.report.placement
        share = sum(record.device == "mlu" for record in placement) / len(placement)
        error = _error(got, wanted)
        print(f"{name}, {precision}: error {error:.1e}, {share:.1%} of {len(placement)} on the device, {seconds:.1f} s")
        assert share >= ON_DEVICE
        assert seconds < MOST_SECONDS
        if is_sensitive and precision == "force_float16":
            rounded, *_ = _ran(network, inputs, backends=["cpu"], precision=precision)
            tolerance = max(tolerance, 1.25 * _error(rounded, wanted))
        assert error <= tolerance


def _check(name: str, small: bool) -> None:
    file = zoo.build(name, batch=1, small=small)
    _compare(name, mm.parse(str(file.path)), file.inputs, small and name in SENSITIVE)


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
