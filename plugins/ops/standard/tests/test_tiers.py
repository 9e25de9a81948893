"""A backend that has the device tier and nothing else runs every ONNX case, beside what the runtime does itself."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import mm_core as mm
from mm_core.testing.case import Case
from mm_core.testing.comparison import difference

onnx_testing = pytest.importorskip("mm_parser_onnx.testing")

NAME = "device_tier"
EXCEPTIONS = {
    r"string|strnorm|regex|label_encoder_(string_int|tensor_(mapping|value))": "strings, by callbacks of a package",
    r"image_decoder": "pictures, by callbacks of a package",
    r"affine_grid_3d_align_corners_expanded": "branches give a scalar and a vector: only running tells the rank",
}
"""Cases that are refused, by a pattern of their names, and why."""
NOISE = re.compile(r"test_dft_inverse(_opset19)?$")
"""Cases whose answers carry rounding noise that is larger than their tolerance: zeros of up to 2e-7."""
STREAMS = re.compile(r"test_bernoulli")
"""Cases whose answers come from a random stream that no specification fixes."""


@pytest.fixture(scope="module", autouse=True)
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The backend as an installed plugin."""
    site, package = tmp_path_factory.mktemp("site"), Path(__file__).with_name("device_tier")
    information = site / "mm_backend_device_tier-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: mm-backend-device-tier\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[mm.backends]\n{NAME} = mm_backend_device_tier:DeviceTier\n")
    added = [str(site), str(package)]
    sys.path[:0] = added
    yield
    for folder in added:
        sys.path.remove(folder)


def excepted(case: Case) -> str:
    return next((reason for pattern, reason in EXCEPTIONS.items() if re.search(pattern, case.name)), "")


def judge(case: Case) -> str:
    """What is wrong with the case on the device tier; empty if it is right. Strict: no reference stands in."""
    model = mm.Builder(mm.BuilderConfig(backends=[NAME], strict=True)).build(mm.parse(case.source))
    context = model.create_engine().create_context()
    tolerance = replace(case.tolerance, absolute=1e-6) if NOISE.search(case.name) else case.tolerance
    for data in case.data_sets:
        found = context.run(data.inputs)
        if STREAMS.search(case.name):
            assert [(x.dtype, x.shape) for x in found.values()] == [(x.dtype, x.shape) for x in data.outputs.values()]
        elif wrong := difference(data.outputs, found, tolerance):
            return wrong
    return ""


CASES = onnx_testing.onnx_cases()


@pytest.mark.parametrize("case", [case for case in CASES if not excepted(case)], ids=lambda case: case.name)
def test_device_primitives_run_every_case(case: Case) -> None:
    assert judge(case) == ""


@pytest.mark.parametrize("case", [case for case in CASES if excepted(case)], ids=lambda case: case.name)
def test_what_is_excepted_is_refused(case: Case) -> None:
    """Else the exception is out of date."""
    with pytest.raises(mm.MMError):
        judge(case)
