"""Choosing kernels: candidates compute the same, and the choice follows the cost model, the clock or the cache."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from mm_backend_cpu.codegen.conv import ConvSpec
from mm_backend_cpu.codegen.expression import Epilogue, Node
from mm_backend_cpu.codegen.gemm import GemmSpec
from mm_backend_cpu.codegen.isa import detect
from mm_backend_cpu.codegen.matmul import MatmulSpec, matrix_strides
from mm_backend_cpu.codegen.winograd import ALGORITHMS
from mm_backend_cpu.testing import run
from mm_backend_cpu.tuning import measure as measuring
from mm_backend_cpu.tuning.candidate import FINALISTS, Threads
from mm_backend_cpu.tuning.choice import NOISE, Chooser, Measurement
from mm_backend_cpu.tuning.measure import measure
from mm_backend_cpu.tuning.problems import WINOGRAD_MARGIN, conv_problem, gemm_problem, matmul_problem
from mm_backend_cpu.tuning.store import TuningCache

import mm_core as mm
from mm_core.cli.build import command
from mm_core.types import symbol

WINOGRAD = {f"Winograd's {algorithm}" for algorithm in ALGORITHMS}
TWO = Threads(2, fixed=True)
BIAS_RELU = Epilogue(
    (Node("add", (("input", 0), ("input", 1))), Node("relu", (("node", 0),))), channel_inputs=1, tensor_inputs=0
)
CONVOLUTIONS = {
    "3x3": ConvSpec(2, 32, 13, 11, 48, (3, 3), pads=(1, 1, 1, 1), epilogue=BIAS_RELU),
    "1x1": ConvSpec(1, 40, 9, 9, 72, (1, 1), epilogue=BIAS_RELU),
    "grouped": ConvSpec(1, 24, 15, 15, 36, (3, 3), strides=(2, 2), groups=2, epilogue=BIAS_RELU),
    "depthwise": ConvSpec(1, 40, 17, 17, 40, (3, 3), pads=(1, 1, 1, 1), groups=40, epilogue=BIAS_RELU),
}
SMALL = gemm_problem(GemmSpec(33, 64, 48), detect(), TWO)


def standard_normal(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def titles(candidates):
    return [candidate.title for candidate in candidates]


# ---- candidates -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_every_finalist_convolves(name):
    spec = CONVOLUTIONS[name]
    x = standard_normal(spec.images, spec.channels, spec.height, spec.width)
    weights = standard_normal(spec.outputs, spec.channels // spec.groups, *spec.kernel)
    bias = standard_normal(spec.outputs)
    expected = torch.nn.functional.conv2d(
        *(torch.from_numpy(array).double() for array in (x, weights, bias)), spec.strides, spec.pads[0], 1, spec.groups
    )
    expected = expected.clamp(min=0).permute(0, 2, 3, 1).numpy()
    problem = conv_problem(spec, detect(), TWO, ALGORITHMS)
    algorithms = {finalist.algorithm for finalist in problem.finalists}
    assert (algorithms >= WINOGRAD) == (name == "3x3")
    assert len({finalist.kernel.source.symbol for finalist in problem.finalists}) == len(problem.finalists) > 1
    for finalist in problem.finalists:
        inputs = [np.ascontiguousarray(x.transpose(0, 2, 3, 1)), finalist.kernel.pack(weights), bias]
        assert inputs[1].size == finalist.kernel.packed_elements
        [output] = run(finalist.kernel.source, detect(), inputs, [(expected.shape, np.float32)])
        rounding = 6 if finalist.algorithm in WINOGRAD else 1
        tolerance = 3e-7 * rounding * max(16, weights[0].size)
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=tolerance, err_msg=finalist.title)


def test_every_finalist_multiplies():
    left, weights = standard_normal(33, 48), standard_normal(48, 64)
    for finalist in SMALL.finalists:
        [output] = run(
            finalist.kernel.source, detect(), [left, finalist.kernel.pack(weights)], [((33, 64), np.float32)]
        )
        np.testing.assert_allclose(output, left.astype(np.float64) @ weights, rtol=1e-5, atol=2e-5)
    spec = MatmulSpec((3,), 33, 64, 48, matrix_strides((3,), 33, 48), matrix_strides((3,), 48, 64, transposed=True))
    left, right = standard_normal(3, 33, 48), standard_normal(3, 64, 48)
    problem = matmul_problem(spec, detect(), TWO)
    assert (problem.data, problem.finalists[0].kernel.packed_elements) == (left.size, right.size)
    for finalist in problem.finalists:
        [output] = run(finalist.kernel.source, detect(), [left, right], [((3, 33, 64), np.float32)])
        expected = left.astype(np.float64) @ right.swapaxes(1, 2)
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("threads", [Threads(), TWO, Threads(64, fixed=True)], ids=str)
def test_candidates_are_the_same_every_time_and_the_cheapest_comes_first(threads):
    spec = ConvSpec(1, 64, 56, 56, 64, (3, 3), pads=(1, 1, 1, 1))
    problem, again = (conv_problem(spec, detect(), threads, ALGORITHMS) for _ in range(2))
    assert titles(problem.candidates) == titles(again.candidates)
    assert len(set(titles(problem.candidates))) == len(problem.candidates)
    costs = [candidate.seconds * candidate.margin for candidate in problem.candidates]
    assert costs == sorted(costs)
    assert problem.finalists[0] is problem.candidates[0]
    assert len(problem.finalists) == FINALISTS
    assert {finalist.algorithm for finalist in problem.finalists} == {"direct", *WINOGRAD}
    assert all(candidate.reason for candidate in problem.candidates)


def test_the_number_of_tasks_is_a_choice_only_for_a_known_number_of_threads():
    """Otherwise two tasks, best for two threads, would leave others idle."""
    spec = ConvSpec(1, 64, 56, 56, 256, (1, 1))
    free, fixed = (conv_problem(spec, detect(), threads, ALGORITHMS) for threads in (Threads(2), TWO))
    assert set(titles(free.candidates)) < set(titles(fixed.candidates))


@pytest.mark.parametrize(
    ("channels", "size", "algorithm"),
    [
        (64, 56, "Winograd's F(4x4, 3x3)"),
        (128, 28, "Winograd's F(4x4, 3x3)"),
        (256, 14, "Winograd's F(2x2, 3x3)"),
        (512, 7, "direct"),
        (16, 4, "direct"),
    ],
)
def test_where_the_model_prefers_winograd(channels, size, algorithm):
    spec = ConvSpec(1, channels, size, size, channels, (3, 3), pads=(1, 1, 1, 1))
    problem = conv_problem(spec, detect(), TWO, ALGORITHMS)
    assert problem.candidates[0].algorithm == algorithm
    direct = conv_problem(spec, detect(), TWO)
    assert {candidate.algorithm for candidate in direct.candidates} == {"direct"}


# ---- the choice -------------------------------------------------------------------------------------------------


def chosen(problem, nanoseconds, peak=1e9):
    return Chooser(TWO, Measurement({problem.key: nanoseconds}, peak)).choose(problem)


def test_without_times_the_model_decides():
    chooser = Chooser(TWO)
    choice = chooser.choose(SMALL)
    assert [variant.name for variant in choice.variants] == titles(SMALL.finalists)
    assert not any(variant.measured for variant in choice.variants)
    assert choice.peak_share == 0
    assert list(chooser.asked) == [SMALL.key]


def test_times_decide_but_noise_does_not():
    first, *others = titles(SMALL.finalists)
    slower = dict.fromkeys(others, 2000)
    choice = chosen(SMALL, {first: 1000, **slower})
    assert choice.variants[0].name == first
    assert choice.variants[0].measured
    assert choice.variants[0].seconds == 1e-6
    assert choice.peak_share == pytest.approx(SMALL.flop / (1e-6 * 1e9), abs=1e-3)
    within, beyond = round(1000 / NOISE) + 2, round(1000 / NOISE) - 2
    assert chosen(SMALL, {first: 1000, **slower, others[-1]: within}).variants[0].name == first
    best = chosen(SMALL, {first: 1000, **slower, others[-1]: beyond})
    assert best.variants[0].name == others[-1]
    assert best.kernel is SMALL.finalists[-1].kernel


def test_more_rounding_must_be_worth_it():
    spec = ConvSpec(1, 16, 4, 4, 16, (3, 3), pads=(1, 1, 1, 1))
    problem = conv_problem(spec, detect(), TWO, ALGORITHMS)
    assert problem.finalists[0].algorithm == "direct"
    winograd = next(title for title in titles(problem.finalists) if title.startswith("Winograd"))
    times = dict.fromkeys(titles(problem.finalists), 12_000)
    enough = round(12_000 / WINOGRAD_MARGIN / NOISE)
    assert chosen(problem, {**times, winograd: enough + 9}).variants[0].name == problem.finalists[0].title
    assert chosen(problem, {**times, winograd: enough - 9}).variants[0].name == winograd


# ---- times and where they are kept --------------------------------------------------------------------------------


def refuse(*arguments):
    raise AssertionError("this is in the cache")


def test_what_was_measured_is_not_measured_again(tmp_path, monkeypatch):
    symbolic = gemm_problem(GemmSpec(symbol("N"), 64, 48), detect(), TWO)
    first = measure([SMALL, symbolic], detect(), 2, TuningCache(detect(), 2, tmp_path))
    assert set(first.nanoseconds) == {SMALL.key}
    assert set(first.nanoseconds[SMALL.key]) == set(titles(SMALL.finalists))
    assert min(first.nanoseconds[SMALL.key].values()) > 0
    assert first.peak > 1e9
    monkeypatch.setattr(measuring, "_Bench", refuse)
    assert measure([SMALL, symbolic], detect(), 2, TuningCache(detect(), 2, tmp_path)) == first
    for other in (TuningCache(detect(), 1, tmp_path), TuningCache(detect(), 2, tmp_path / "elsewhere")):
        with pytest.raises(AssertionError, match="cache"):
            measure([SMALL], detect(), 2, other)


@pytest.mark.parametrize("damage", [b"", b"\0" * 40, None], ids=["empty", "zeros", "changed"])
def test_a_damaged_file_is_a_miss(tmp_path, damage):
    cache = TuningCache(detect(), 2, tmp_path)
    cache.put("a kernel", {"this way": 10, "that way": 20})
    assert cache.get("a kernel") == {"this way": 10, "that way": 20}
    assert cache.get("another kernel") is None
    [path] = (path for path in tmp_path.rglob("*") if path.is_file())
    path.write_bytes(path.read_bytes().replace(b"10", b"11") if damage is None else damage)
    assert cache.get("a kernel") is None
    cache.put("a kernel", {"this way": 30})
    assert TuningCache(detect(), 2, tmp_path).get("a kernel") == {"this way": 30}


@pytest.mark.parametrize("times", [{}, {"way": 0}, {"way": -5}], ids=str)
def test_times_that_cannot_be_are_a_miss(tmp_path, times):
    cache = TuningCache(detect(), 2, tmp_path)
    cache.put("a kernel", times)
    assert cache.get("a kernel") is None


# ---- models -------------------------------------------------------------------------------------------------------


def network(scale=1.0):
    """Two convolutions, a product with constant weights and one without, on 64 channels of 28x28."""
    rng = np.random.default_rng(0)

    def weights(*shape):
        return (rng.standard_normal(shape) * scale / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    net = mm.Network("small")
    x = net.add_input("x", mm.float32, (1, 64, 28, 28))
    y = net.relu(net.conv(x, weights(64, 64, 3, 3), weights(64, 1).reshape(64), pads=(1, 1, 1, 1), name="a"))
    y = net.conv(y, weights(32, 64, 1, 1), strides=(1, 1), name="b")
    y = net.reshape(y, np.array([32, 784]))
    z = net.linear(y, weights(96, 784), name="c")
    net.mark_output(net.matmul(z, net.transpose(z, permutation=(1, 0)), name="d"), "y")
    return net


def build(net, **options):
    return mm.Builder(mm.BuilderConfig(backends=["cpu"], **options)).build(net)


def outputs(model):
    x = standard_normal(1, 64, 28, 28)
    return model.create_engine(threads=2).create_context().run({"x": x})["y"]


def choices(model):
    return {record.label: record for record in model.report.kernels if record.variants}


def test_a_model_of_timed_kernels(tmp_path, monkeypatch):
    monkeypatch.setenv("MM_CACHE_DIR", str(tmp_path / "cache"))
    net = network()
    timed, plain = build(net, opt_level=3, threads=2), build(net, opt_level=1)
    expected = outputs(plain)
    np.testing.assert_allclose(outputs(timed), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    records = choices(timed)
    assert len(records) == 4
    for record in records.values():
        assert all(variant.measured and variant.seconds > 0 for variant in record.variants)
        assert record.peak_share > 0
        assert record.lead == pytest.approx(record.variants[1].seconds / record.variants[0].seconds)
    assert not any(variant.measured for record in choices(plain).values() for variant in record.variants)
    timed.save(tmp_path / "once.mm")
    build(net, opt_level=3, threads=2).save(tmp_path / "twice.mm")
    assert (tmp_path / "once.mm").read_bytes() == (tmp_path / "twice.mm").read_bytes()
    assert mm.Model.load(tmp_path / "once.mm").report.kernels == timed.report.kernels


def winograd_is_chosen(model):
    return "Winograd" in " ".join(record.variants[0].name for record in choices(model).values())


def test_winograd_is_for_level_2_unless_turned_off():
    net = network()
    assert winograd_is_chosen(build(net))
    assert not winograd_is_chosen(build(net, target={"cpu_winograd": "off"}))
    assert not winograd_is_chosen(build(net, opt_level=1))
    with pytest.raises(mm.BuildError, match="cpu_winograd"):
        build(net, target={"cpu_winograd": "perhaps"})


def test_winograd_keeps_to_its_error_budget(monkeypatch):
    monkeypatch.setattr("mm_backend_cpu.lowering.convolution.ERROR_BUDGET", 1e-9)
    assert not winograd_is_chosen(build(network()))


def test_code_for_another_machine_is_not_timed(monkeypatch):
    monkeypatch.setattr("mm_backend_cpu.compiler.usable", tuple)
    monkeypatch.setattr("mm_backend_cpu.compiler.measure", refuse)
    records = choices(build(network(), opt_level=3, threads=2))
    assert len(records) == 4
    assert not any(variant.measured for record in records.values() for variant in record.variants)


def test_the_build_command_lists_timed_kernels(tmp_path, monkeypatch):
    monkeypatch.setenv("MM_CACHE_DIR", str(tmp_path))
    source = tmp_path / "net.mlir"
    net = mm.Network("net")
    x = net.add_input("x", mm.float32, (1, 64, 28, 28))
    net.mark_output(net.conv(x, net.add_input("w", mm.float32, (8, 64, 1, 1)), name="dynamic"), "unused")
    left, right = (net.add_input(name, mm.float32, (128, 128)) for name in "ab")
    net.mark_output(net.matmul(left, right, name="product"), "y")
    source.write_text(str(net))
    result = CliRunner().invoke(command, [str(source), "-o", str(tmp_path / "net.mm"), "--opt_level", "3"])
    assert result.exit_code == 0, result.output
    assert "Slowest kernels, measured" in result.output
    assert "of peak: matmul, matrix product, tile" in " ".join(result.output.split())
    result = CliRunner().invoke(command, [str(source), "-o", str(tmp_path / "net.mm")])
    assert "Slowest kernels" not in result.output


def test_equal_layers_are_one_problem():
    spec = CONVOLUTIONS["1x1"]
    chooser = Chooser(TWO)
    for _ in range(2):
        chooser.choose(conv_problem(spec, detect(), TWO, ALGORITHMS))
    chooser.choose(conv_problem(replace(spec, images=2), detect(), TWO, ALGORITHMS))
    assert len(chooser.asked) == 2


def test_depthwise_tiles_fit_the_registers():
    """Twelve pixels of a 3x3 window do not, beside their inputs and weights; pieces of equal size are one candidate."""
    spec = ConvSpec(1, 96, 56, 56, 96, (3, 3), pads=(1, 1, 1, 1), groups=96)
    wide = conv_problem(spec, detect(), TWO, ALGORITHMS)
    narrow = conv_problem(replace(spec, width=2), detect(), TWO, ALGORITHMS)
    assert "12" not in wide.candidates[0].name
    assert len(wide.candidates) == 3
    assert len(narrow.candidates) == 1
