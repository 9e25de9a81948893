"""Faults planted in the text of generated kernels and epilogues: the emulator has to find each of them in each."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from faults import FIVE, SHARED, Case, Fault, check_caught, feeds_of, fused_network
from library_running import Runner
from mlu_networks import floats, integers

COLUMNS = r"mm::minimum\((\d+), \d+ - at\.column\)"
ROWS = r"mm::minimum\((\d+), \d+ - at\.row\)"
LOOPS = {
    "chain": Case(
        "mul_add_tanh", lambda n, x, y: n.tanh(n.add(n.mul(x, y), 1.0)), (floats(95, 701), floats(95, 701)),
        COLUMNS, r"\1",
    ),
    "chain of halves": Case(
        "mul_tanh", lambda n, x, y: n.tanh(n.mul(x, y)),
        (floats(95, 701, dtype=np.float16), floats(95, 701, dtype=np.float16)), COLUMNS, r"\1",
    ),
    "row for all rows": Case(
        "less_select", lambda n, x, y: n.select(n.less(x, y), y, x), (floats(301, 70), floats(70)), ROWS, r"\1",
    ),
    "element for each row": Case(
        "add", lambda n, x, y: n.add(x, y), (floats(301, 70), floats(301, 1)),
        r"at\.operand1 = \(int64_t\)at\.row", "at.operand1 = 301 + (int64_t)at.row",
    ),
    "truth values": Case("less", lambda n, x, y: n.less(x, y), (floats(95, 701), floats(95, 701)), COLUMNS, r"\1"),
    "whole numbers": Case(
        "mul_add", lambda n, x, y: n.add(n.mul(x, y), x),
        (integers(95, 701, dtype=np.int32), integers(95, 701, dtype=np.int32)), COLUMNS, r"\1",
    ),
    "quantization": Case(
        "quantize", lambda n, x: n.quantize(x, np.array(0.1, np.float32), to="int8"), (floats(95, 701),),
        COLUMNS, r"\1",
    ),
    "repetition": Case(
        "expand", lambda n, x: n.expand(x, n.constant([301, 70])), (floats(301, 1),),
        r"at\.operand0 = \(int64_t\)at\.row", "at.operand0 = 301 + (int64_t)at.row",
    ),
    "strided copy": Case(
        "copy", lambda n, x: n.slice(x, [1], [60], [1], [2]), (floats(300, 70),),
        r"x \+ at\.source,", "x + at.source + 300 * 70,",
    ),
    "fill": Case(
        "fill", lambda n, x: n.pad(x, n.constant([0, 9, 0, 9]), np.float32(2)), (floats(301, 70),),
        r"mm::minimum\((\d+), \d+ - step \* \d+\)", r"\1",
        {"missing wait": Fault(
            r"__sync_compute\(\);\n  const mm::Share", "const mm::Share",
            r"source is used before the computation that writes it has been waited for",
        )},
    ),
}  # fmt: skip

LATE = r"is read before the copy of line \d+ into it has been waited for"
BOUNDS = SHARED["overflow of NRAM"].reason


def _reading(memory: str, apply: str, load: str) -> dict[str, Fault]:
    """Faults of what an epilogue reads beside the tile: `channels` or `tensors`."""
    return {
        "missing wait": Fault(rf"\bepilogue\.apply\({apply}", rf"epilogue.{load};\n    \g<0>", LATE),
        "misalignment": Fault(rf"(\w+ = \(\w+ \*\)\({memory} \+ )", r"\g<1>4 + ", "is misaligned: "),
        "overflow of NRAM": Fault(rf"(take<char>\(\S*\.{memory})\)", r"\1 + (1 << 19))", BOUNDS),
    }


CONTRACTION = r"values, channels\[column"
TENSORS = _reading("tensors", CONTRACTION, "load_tile(tensors[here.turn % 2], tile)")
CHANNELS = _reading("channels", CONTRACTION, "load_channels(channels[column(here.turn) % 2], tile)")
BESIDE = r"(\w+_at), tile\)"
EPILOGUES = {
    "tensor after a product": Case(
        "matmul_gelu_add", lambda n, x, r: n.add(n.gelu(n.matmul(x, floats(7, 200))), r),
        (floats(300, 7), floats(300, 200)), BESIDE, r"\1 + 999999, tile)", TENSORS,
    ),
    "vector after a product": Case(
        "matmul_add", lambda n, x, v: n.add(n.matmul(x, floats(7, 200)), v), (floats(300, 7), floats(200)),
        BESIDE, r"\1 + 200, tile)", CHANNELS,
    ),
    "tensor after a product together": Case(
        "matmul_add_relu", lambda n, x, r: n.relu(n.add(n.matmul(x, floats(300, 256)), r)),
        (floats(200, 300), floats(200, 256)), BESIDE, r"\1 + 999999, tile)",
        {**TENSORS, "missing barrier": Fault(
            r"    __sync_cluster\(\);\n", "", r"race: byte \d+ of SRAM is|source is uninitialised at byte",
        )}, together=True,
    ),
    "tensor after a convolution": Case(
        "conv_add_relu", lambda n, x, r: n.relu(n.add(n.conv(x, floats(70, 20, 3, 3), pads=(1, 1, 1, 1)), r)),
        (floats(1, 20, 6, 6), floats(1, 70, 6, 6)), BESIDE, r"\1 + 999999, tile)", TENSORS,
    ),
    "vector after a convolution": Case(
        "conv_relu", lambda n, x, bias: n.relu(n.conv(x, floats(70, 20, 3, 3), bias, pads=(1, 1, 1, 1))),
        (floats(1, 20, 6, 6), floats(70)), BESIDE, r"\1 + 200, tile)", CHANNELS,
    ),
    "tensor after a depthwise convolution": Case(
        "depthwise_add", lambda n, x, r: n.add(n.conv(x, floats(70, 1, 3, 3), pads=(1, 1, 1, 1), group=70), r),
        (floats(2, 70, 24, 30), floats(2, 70, 24, 30)), BESIDE, r"\1 + 999999, tile)",
        _reading("tensors", r"values, channels\[slot", "load_tile(tensors[step % 2], walk.tile_of(at))"),
    ),
    "function on the scalar unit": Case(
        "matmul_sin", lambda n, x: n.sin(n.matmul(x, floats(7, 200))), (floats(301, 7),),
        r"sinf\(values\[i\]\)", "sinf(values[i + (1 << 24)])",
        {
            "missing wait": Fault(
                r"__sync_compute\(\);\n    for", "for",
                r"address is used before the computation that writes it has been waited for",
            ),
            "misalignment": Fault(r"sinf\(values\[i\]\)", "sinf(*(float *)((char *)values + 2))", "is misaligned: "),
        },
    ),
}  # fmt: skip
CASES = {**LOOPS, **EPILOGUES}
ANYWHERE = {("strided copy", "misalignment")}
"""Copies between NRAM and GDRAM may begin anywhere, and this kernel does nothing else."""


@pytest.mark.parametrize(("kernel", "fault"), [pair for pair in product(CASES, FIVE) if pair not in ANYWHERE])
def test_fault_is_caught(kernel: str, fault: str) -> None:
    check_caught(CASES[kernel], CASES[kernel].faults[fault])


@pytest.mark.parametrize(("kernel", "fault"), ANYWHERE)
def test_copies_may_begin_anywhere(kernel: str, fault: str) -> None:
    case = CASES[kernel]
    network, feeds = fused_network(case), feeds_of(case)
    (wanted,), (got,) = (runner.run(feeds) for runner in (
        Runner(network), Runner(network, case.faults[fault].planted, case.kernel),
    ))  # fmt: skip
    np.testing.assert_array_equal(got, wanted)


def test_what_no_copy_wrote_is_not_computed_with() -> None:
    """The rest of the last vector is cleared; without that it holds what nobody wrote."""
    case = Case("tanh", lambda n, x: n.tanh(x), (floats(33),), "", "")
    check_caught(case, Fault(r"mm::clear_tail\([^)]*\);", "", "operand is uninitialised at byte"))
