"""Faults planted in the library kernels' own text: the emulator has to find each of them in each kernel."""

from __future__ import annotations

import re
from importlib.resources import files
from itertools import product

import numpy as np
import pytest
from faults import FIVE, Case, Fault, check_caught, feeds_of, fused_network
from library_running import Runner, written
from mlu_networks import floats, integers

TOGETHER = {
    "missing wait": Fault(
        r"operands\.arrange_left\(here\.at, left", r"operands.load_left(here.at, left[step % 2], step % 2);\n    \g<0>",
        r"is read before the copy of line \d+ into it has been waited for",
    ),
    "missing barrier": Fault(
        r"    __sync_cluster\(\);\n", "", r"race: byte \d+ of SRAM is|source is uninitialised at byte",
    ),
}  # fmt: skip
"""A barrier of the cluster also waits for copies, so the one that nobody waits for is between stages."""

CASES = {
    "packed product": Case(
        "matmul", lambda n, a: n.matmul(a, floats(7, 200)), (floats(301, 7),),
        r"at\.rows = minimum\(shape\.tile_m, [^;]*;", "at.rows = shape.tile_m;",
    ),
    "product of rows": Case(
        "matmul", lambda n, a, b: n.matmul(a, b), (floats(2, 300, 70), floats(2, 70, 200)),
        r"source \+= at\.depth_begin \* shape\.b_pitch \+", "source += shape.k * shape.b_pitch +",
    ),
    "product of columns": Case(
        "matmul", lambda n, a, b: n.linear(a, b), (floats(301, 70), floats(200, 70)),
        r"source \+= at\.column \* shape\.b_pitch \+", "source += shape.n * shape.b_pitch +",
    ),
    "product together": Case(
        "matmul", lambda n, a: n.matmul(a, floats(300, 256)), (floats(200, 300),),
        r"packed\.source, packed\.bytes, GDRAM2SRAM", "packed.source + 99999999, packed.bytes, GDRAM2SRAM",
        TOGETHER, together=True,
    ),
    "convolution": Case(
        "conv", lambda n, x: n.conv(x, floats(70, 20, 3, 3), floats(70), pads=(1, 1, 1, 1)), (floats(1, 20, 6, 6),),
        r"const int64_t row = patch\.top \+", "const int64_t row = 9999 + patch.top +",
    ),
    "convolution tap by tap": Case(
        "conv", lambda n, x: n.conv(x, floats(700, 20, 3, 3), dilations=(2, 2)), (floats(1, 20, 9, 9),),
        r"column = patch\.left \+", "column = 9999 + patch.left +",
    ),
    "convolution of planes": Case(
        "conv", lambda n, x: n.conv(x, floats(700, 3, 3, 3)), (floats(1, 3, 9, 9),),
        r"const T \*plane = x \+", "const T *plane = x + 9999 +",
    ),
    "convolution together": Case(
        "conv", lambda n, x: n.conv(x, floats(70, 20, 3, 3), floats(70), pads=(1, 1, 1, 1)), (floats(2, 20, 24, 30),),
        r"packed\.source, packed\.bytes, GDRAM2SRAM", "packed.source + 99999999, packed.bytes, GDRAM2SRAM",
        TOGETHER, together=True,
    ),
    "depthwise": Case(
        "depthwise", lambda n, x: n.conv(x, floats(70, 1, 3, 3), floats(70), pads=(1, 1, 1, 1), group=70),
        (floats(2, 70, 24, 30),),
        r"w \+ at\.channel, shape\.kh \* shape\.kw,", "w + at.channel, shape.kh * shape.kw + 1,",
    ),
    "average pool": Case(
        "average_pool", lambda n, x: n.average_pool(x, kernel_shape=(3, 3), pads=(1, 1, 1, 1), strides=(2, 2)),
        (floats(2, 70, 24, 30),),
        r"x \+ \(int64_t\)at\.image \*", "x + (int64_t)(at.image + 1) *",
    ),
    "max pool": Case(
        "max_pool", lambda n, x: n.max_pool(x, kernel_shape=(3, 3)), (floats(2, 70, 24, 31),),
        r"\(int64_t\)at\.image \* shape\.oh", "(int64_t)(at.image + 1) * shape.oh",
    ),
    "global average pool": Case(
        "global_average_pool", lambda n, x: n.global_average_pool(x), (floats(40, 70, 60, 60),),
        r"return minimum\(shape\.tile_p, [^;]*;", "return shape.tile_p;",
    ),
    "global max pool": Case(
        "global_max_pool", lambda n, x: n.global_max_pool(x), (floats(40, 70, 60, 60),),
        r"y \+ \(int64_t\)\(tile_number\(step\) / blocks\)", "y + (int64_t)(tile_number(step) / blocks + 1)",
    ),
    "softmax": Case(
        "softmax", lambda n, x: n.softmax(x), (floats(301, 70),),
        r"return minimum\(tile_r, [^;]*;", "return tile_r;",
    ),
    "normalization": Case(
        "layer_norm", lambda n, x: n.layer_norm(x, floats(70), floats(70)), (floats(301, 70),),
        r"load_rows\(row, vector, 1, tiles\.columns,", "load_rows(row, vector, 1, tiles.pitch,",
    ),
    "attention": Case(
        "attention", lambda n, q, k, v: n.attention(q, k, v),
        (floats(1, 30, 9, 20), floats(1, 30, 600, 20), floats(1, 30, 600, 20)),
        r"at\.keys = minimum\(shape\.tile_s, [^;]*;", "at.keys = shape.tile_s;",
    ),
    "attention with a mask": Case(
        "attention", lambda n, q, k, v, mask: n.attention(q, k, v, mask),
        (floats(1, 30, 9, 20), floats(1, 30, 600, 20), floats(1, 30, 600, 20), floats(30, 9, 600)),
        r"mask \+ at\.batch \*", "mask + at.rows * shape.mask.row + at.batch *",
    ),
    "transpose": Case(
        "transpose", lambda n, x: n.transpose(x, permutation=(0, 2, 1)), (floats(2, 70, 301),),
        r"x \+ row \* shape\.x_pitch \+", "x + row * shape.x_pitch + shape.columns +",
    ),
    "gather": Case(
        "gather", lambda n, x, places: n.gather(x, places), (floats(50, 70), integers(300, low=-99, high=99)),
        r"index >= shape\.size \? shape\.size - 1 : index", "index",
    ),
    "folded rows": Case(
        "reduce_sum", lambda n, x: n.reduce_sum(x, axes=(1,)), (floats(300, 1000),),
        r"columns = minimum\(pitch, shape\.length - first\)", "columns = pitch",
    ),
    "folded columns": Case(
        "reduce_max", lambda n, x: n.reduce_max(x, axes=(0,)), (floats(1000, 300),),
        r"rows = minimum\(shape\.tile_length, shape\.length - first\)", "rows = shape.tile_length + 1",
    ),
    "folded whole numbers": Case(
        "reduce_sum", lambda n, x: n.reduce_sum(x, axes=(1,)), (integers(130, 33, dtype=np.int32),),
        r"return minimum\(shape\.tile_length, shape\.length - first\);", "return shape.tile_length + 9;",
    ),
    "position of the largest": Case(
        "argmax", lambda n, x: n.argmax(x, axis=0), (floats(33, 130),),
        r"return minimum\(shape\.tile_length, shape\.length - first\);", "return shape.tile_length + 9;",
    ),
    "running sum": Case(
        "cumsum", lambda n, x: n.cumsum(x, axis=1), (floats(130, 33),),
        r"return minimum\(shape\.tile_length, shape\.length - first\);", "return shape.tile_length + 9;",
    ),
    "gathered elements": Case(
        "gather_elements", lambda n, x, places: n.gather_elements(x, places, axis=1),
        (floats(130, 33), integers(130, 7, low=-99, high=99)),
        r"index < 0 \? 0 : index >= size \? size - 1 : index", "index",
    ),
    "gathered runs": Case(
        "gather_nd", lambda n, x, places: n.gather_nd(x, places),
        (floats(130, 33), integers(99, 1, low=-199, high=199)),
        r"index < 0 \? 0 : index >= size \? size - 1 : index", "index",
    ),
    "scattered runs": Case(
        "scatter_nd", lambda n, x, places, updates: n.scatter_nd(x, places, updates, reduction="add"),
        (floats(9, 33), integers(40, 1, low=-99, high=99), floats(40, 33)),
        r"index < 0 \? 0 : index >= size \? size - 1 : index", "index",
        {"missing barrier": Fault(
            r"if \(taskId != 0\) return;", "", r"race: byte \d+ of a buffer in GDRAM is .* with no barrier between",
        )},
    ),
    "the best": Case(
        "topk", lambda n, x: list(n.topk(x, n.constant([3]))), (floats(90, 33),),
        r"shape\.outer \* shape\.inner\);", "shape.outer * shape.inner + 24);",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("kernel", "fault"), [*product(CASES, FIVE)])
def test_fault_is_caught(kernel: str, fault: str) -> None:
    check_caught(CASES[kernel], CASES[kernel].faults[fault])


_FILL = r"fill\(chip, patch\.rows \* patch\.columns \* patch\.chip_depth, outside\);"
_UNINITIALISED = "is uninitialised at byte"
_LATE = r"is (read|written) before the copy of line \d+ into it has been waited for"
PARTICULAR = {
    "packed product: columns beyond K are not cleared": Fault(
        r"if \(at\.depth < shape\.tile_k\) fill\(tile, at\.rows \* shape\.tile_k, \(T\)0\);", "",
        f"__bang_matmul: the left operand {_UNINITIALISED}",
    ),
    "packed product: weights into NRAM": Fault(
        r"packed\.bytes, GDRAM2WRAM\);", "packed.bytes, GDRAM2NRAM);", "has to be in NRAM and is in WRAM",
    ),
    "packed product: weights beyond WRAM": Fault(
        r"char mm_wram\[\d+\]", "char mm_wram[128]", "destination (has to be in|is out of bounds: .* in) WRAM",
    ),
    "product together: weights beyond SRAM": Fault(
        r"char mm_sram\[\d+\]", "char mm_sram[128]", "destination (has to be in|is out of bounds: .* in) SRAM",
    ),
    "product together: one slot of SRAM": Fault(
        r"shared\[block\(here\) % 2\]", "shared[0]", r"race: byte \d+ of SRAM is written while another task reads it",
    ),
    "product together: every cluster does everything": Fault(
        r"share_of\(turns, taskId / coreDim, taskDim / coreDim\);", "share_of(turns, 0, 1);",
        r"race: byte \d+ of a buffer in GDRAM is written while task \d+ writes it",
    ),
    "product of rows: WRAM is filled behind the product's back": Fault(
        r"NRAM2WRAM\);\n    __sync_move\(\);", "NRAM2WRAM);", f"__bang_matmul: the right operand {_LATE}",
    ),
    "product of rows: moved before it is arranged": Fault(
        r"__sync_compute\(\);\n    __memcpy_async\(wram, arranged", "__memcpy_async(wram, arranged",
        r"source is used before the computation that writes it has been waited for",
    ),
    "convolution: padding is not cleared": Fault(_FILL, "", f"__bang_conv: the operand {_UNINITIALISED}"),
    "convolution: more lanes than there are": Fault(
        r"shape\.sy,\n                  at\.lanes\);", "shape.sy, at.lanes + 1);", "__bang_conv: .* multiple of 64",
    ),
    "depthwise: padding is not cleared": Fault(_FILL, "", f"__bang_cycle_mul: the first operand {_UNINITIALISED}"),
    "depthwise: a tap outside of the patch": Fault(
        r"return phase \* phase_size\(at\) \+", "return 900000 + phase * phase_size(at) +",
        "__bang_cycle_mul: the first operand has to be in NRAM",
    ),
    "average pool: padding is not cleared": Fault(_FILL, "", f"__bang_add: the .* operand {_UNINITIALISED}"),
    "softmax: columns beyond the last are not cleared": Fault(
        r"fill\(tile, count\(step\) \* pitch, outside\);", "", f"__bang_maxpool: the operand {_UNINITIALISED}",
    ),
    "softmax: maxima are read before they are there": Fault(
        r"pitch, room\);\n    __sync_compute\(\);", "pitch, room);",
        "scalar read: the address is used before the computation that writes it has been waited for",
    ),
    "normalization: columns beyond the last are not cleared": Fault(
        r"fill\(tile, count\(step\) \* pitch, outside\);", "", f"__bang_sumpool: the operand {_UNINITIALISED}",
    ),
    "attention: keys that do not exist": Fault(
        r"if \(count < room \|\| columns < pitch\) fill\(tile, room \* pitch, \(T\)0\);", "", _UNINITIALISED,
    ),
    "attention: keys are not waited for": Fault(
        r"__memcpy_async\(keys_wram, ([^;]*;)\n    __sync_move\(\);", r"__memcpy_async(keys_wram, \1",
        f"__bang_matmul: the right operand {_LATE}",
    ),
    "attention: places beyond the mask": Fault(
        r"places\[i\] = \(float\)i;", "places[i + (1 << 24)] = (float)i;", "out of bounds of every memory",
    ),
    "transpose: rows that do not exist": Fault(
        r"__bang_transpose\(results\[step % 2\], inputs\[step % 2\], at\.stored,",
        "__bang_transpose(results[step % 2], inputs[step % 2], at.stored + 1,", _UNINITIALISED,
    ),
    "gather: indices are read before they are there": Fault(
        r"if \(round - 1 >= begin && round - 1 < end\) kernel\.compute\(round - 1\);",
        "if (round < end) kernel.compute(round);", f"scalar read: the address {_LATE}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", PARTICULAR)
def test_fault_of_one_kernel_is_caught(fault: str) -> None:
    check_caught(CASES[fault.partition(":")[0]], PARTICULAR[fault])


@pytest.mark.parametrize("kernel", [name for name, case in CASES.items() if case.together])
def test_cores_that_share_run_in_every_order(kernel: str) -> None:
    case = CASES[kernel]
    runner = Runner(fused_network(case))
    results = [runner.run(feeds_of(case), seed)[0] for seed in range(4)]
    assert all(np.array_equal(results[0], other) for other in results[1:])


def test_every_kernel_has_a_case() -> None:
    """The functions of the library that take a memory of the chip are what generated entry points call."""
    headers = [file.read_text() for file in files("mm_backend_mlu").joinpath("bang", "kernels").iterdir()]
    function = re.compile(r"^__mlu_func__ void (\w+)\([^)]*char \*nram[^)]*\) \{", re.MULTILINE)
    library = {name for text in headers for name in function.findall(text)} - {"contract", "contract_together"}
    sources = "".join(written(fused_network(case)).source for case in CASES.values())
    called = set(re.findall(r"mm::(\w+)(?:<[^(;]*>)?\(", sources))
    assert len(library) > 15
    assert library <= called, library - called
