"""Networks with inverted residuals: which operations become one kernel, what they give, and what is told of it."""

from __future__ import annotations

import numpy as np
import pytest
from mm_backend_cpu.lowering import inverted_residual
from mm_backend_reference import interpret

import mm_core as mm
from mm_core.cli.observe import Recorder

RNG = np.random.default_rng(0)
TAILS = {
    "relu": lambda g, x: g.relu(x),
    "relu6": lambda g, x: g.clip(x, 0.0, 6.0),
    "hard_swish": lambda g, x: g.hard_swish(x),
    "silu": lambda g, x: g.mul(x, g.sigmoid(x)),
    "none": lambda g, x: x,
}


@pytest.fixture(autouse=True)
def always_in_strips(monkeypatch):
    """Whatever is expected or measured."""
    monkeypatch.setattr(inverted_residual, "MARGIN", 0.0)
    monkeypatch.setattr(inverted_residual, "MEASURED_MARGIN", 0.0)


def normal(*shape):
    return RNG.standard_normal(shape).astype(np.float32) / np.float32(np.sqrt(np.prod(shape[1:]) or 1))


def conv(graph, x, channels, outputs, kernel=1, stride=1, group=1, name=""):
    weights = normal(outputs, channels // group, kernel, kernel)
    pads = (kernel // 2,) * 4
    return graph.conv(x, weights, normal(outputs), strides=(stride, stride), pads=pads, group=group, name=name)


def network_of(size=(14, 13), channels=(16, 64, 16), kernel=3, stride=1, tail="relu6", residual=True, batch=1):
    """expand, filter and project; the result of each is in the tuple that is given beside the network."""
    entering, wide, leaving = channels
    net = mm.Network("block")
    x = net.add_input("x", mm.float32, (batch, entering, *size))
    expanded = TAILS[tail](net, conv(net, x, entering, wide, name="expand"))
    filtered = TAILS[tail](net, conv(net, expanded, wide, wide, kernel, stride, wide, name="filter"))
    projected = conv(net, filtered, wide, leaving, name="project")
    result = net.add(projected, x) if residual else projected
    return net, (expanded, filtered, result)


def build(net, **options):
    return mm.Builder(mm.BuilderConfig(**{"threads": 2, **options})).build(net)


def strips(model):
    return [record for record in model.report.kernels if record.kernel.count(" > ")]


def check(net, count, batch=1, **options):
    """Builds, compares with the reference, and gives the model; `count` groups are expected to be one kernel each."""
    type_ = net.arguments[0].type
    x = RNG.standard_normal((batch, *type_.shape[1:])).astype(np.float32)
    model = build(net, **options)
    assert len(strips(model)) == count, [record.kernel for record in model.report.kernels]
    found = model.create_engine().create_context().run({"x": x})
    for name, expected in zip(net.output_names, interpret(net, [x]), strict=True):
        np.testing.assert_allclose(np.asarray(found[name]), expected, rtol=2e-5, atol=2e-5)
    return model


@pytest.mark.parametrize("tail", TAILS)
def test_a_block_is_one_kernel(tail):
    net, (*_, result) = network_of(tail=tail)
    net.mark_output(result, "y")
    (record,) = strips(check(net, 1))
    assert record.kernel.count("conv") == 3
    assert {"expand", "filter", "project"} <= set(record.nodes)


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": (9, 17), "channels": (11, 19, 7), "residual": False},
        {"size": (15, 11), "channels": (24, 40, 9), "kernel": 5, "stride": 2, "residual": False},
    ],
)
def test_blocks_of_many_sizes(arguments):
    net, (*_, result) = network_of(**arguments)
    net.mark_output(result, "y")
    check(net, 1)


@pytest.mark.parametrize("batch", [3, "B"])
def test_batches(batch):
    net, (*_, result) = network_of((12, 12), (8, 32, 8), batch=batch)
    net.mark_output(result, "y")
    check(net, 1, batch=3)


def test_chains_of_depthwise_and_pointwise():
    """As in MobileNet's first version: every depthwise convolution takes the 1x1 one behind it."""
    net = mm.Network("chain")
    x = net.add_input("x", mm.float32, (1, 16, 20, 20))
    for channels, outputs in ((16, 24), (24, 40), (40, 40)):
        x = net.relu(conv(net, x, channels, channels, 3, group=channels))
        x = net.relu(conv(net, x, channels, outputs))
    net.mark_output(x, "y")
    check(net, 3)


def test_a_projection_before_an_expansion():
    """As where MobileNet's second version begins: each 1x1 convolution belongs to its own block."""
    net = mm.Network("chain")
    x = net.add_input("x", mm.float32, (1, 16, 20, 20))
    x = net.relu(conv(net, x, 16, 16, 3, group=16))
    x = net.relu(conv(net, conv(net, x, 16, 8), 8, 48))
    net.mark_output(conv(net, net.relu(conv(net, x, 48, 48, 3, 2, 48)), 48, 12), "y")
    first, second = strips(check(net, 2))
    assert first.kernel.count("conv") == 2
    assert second.kernel.count("conv") == 3


def test_an_expansion_whose_filtered_image_is_read_by_others():
    """As where the block weighs its channels by their means: what follows is a kernel of its own."""
    net, (_, filtered, _) = network_of(residual=False)
    scale = net.sigmoid(net.reduce_mean(filtered, axes=(2, 3), keepdims=True))
    net.mark_output(net.mul(filtered, scale), "y")
    (record,) = strips(check(net, 1))
    assert record.kernel.count("conv") == 2


def test_a_residual_that_is_computed_between():
    """A group is computed where its last operation was, so that all it reads is there."""
    net = mm.Network("between")
    x = net.add_input("x", mm.float32, (1, 16, 12, 12))
    wide = net.relu(conv(net, x, 16, 48))
    filtered = net.relu(conv(net, wide, 48, 48, 3, group=48))
    other = net.max_pool(x, kernel_shape=(3, 3), strides=(1, 1), pads=(1, 1, 1, 1))
    net.mark_output(net.add(conv(net, filtered, 48, 16), other), "y")
    check(net, 1)


@pytest.mark.parametrize(("seen", "together"), [(0, {"filter", "project"}), (1, {"expand", "filter"})])
def test_what_is_an_output_ends_a_group(seen, together):
    """A result between the stages that the user asks for; the others are still one kernel."""
    net, values = network_of()
    net.mark_output(values[seen], "middle")
    net.mark_output(values[2], "y")
    (record,) = strips(check(net, 1))
    assert {"expand", "filter", "project"} & set(record.nodes) == together


@pytest.mark.parametrize("options", [{"opt_level": 1}, {"target": {"cpu_strips": "off"}}])
def test_it_can_be_turned_off(options):
    net, (*_, result) = network_of()
    net.mark_output(result, "y")
    check(net, 0, **options)


def test_the_report_names_what_was_beaten(monkeypatch):
    monkeypatch.setattr(inverted_residual, "MARGIN", 1.15)
    net, (*_, result) = network_of((56, 56), (24, 144, 24))
    net.mark_output(result, "y")
    (record,) = strips(check(net, 1))
    assert record.variants[0].name.startswith("strips, ")
    (several,) = [variant for variant in record.variants if "3 kernels" in variant.reason]
    assert several.name.count(", then ") == 2
    assert several.seconds > 1.15 * record.variants[0].seconds
    assert [v.seconds for v in record.variants] == sorted(v.seconds for v in record.variants)


@pytest.mark.parametrize("opt_level", [2, 3])
def test_kernels_of_their_own_are_kept_where_they_are_as_fast(opt_level, tmp_path, monkeypatch):
    monkeypatch.setenv("MM_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(inverted_residual, "MARGIN" if opt_level == 2 else "MEASURED_MARGIN", 1e9)
    net, (*_, result) = network_of()
    net.mark_output(result, "y")
    assert len(check(net, 0, opt_level=opt_level).report.kernels) >= 3


def test_times_decide_where_they_were_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("MM_CACHE_DIR", str(tmp_path))
    net, (*_, result) = network_of((20, 20), (8, 32, 8))
    net.mark_output(result, "y")
    (record,) = strips(check(net, 1, opt_level=3))
    assert all(variant.measured for variant in record.variants)
    assert record.peak_share > 0


def test_intermediate_results_are_those_that_exist():
    """A result is told for all nodes of the group, as for other fusions; without strips there is one for each stage."""
    net, (*_, result) = network_of()
    net.mark_output(result, "y")
    x = {"x": RNG.standard_normal((1, 16, 14, 13)).astype(np.float32)}
    seen = []
    for strips_option in ("auto", "off"):
        recorder = Recorder(results=True)
        context = build(net, target={"cpu_strips": strips_option}).create_engine().create_context()
        context.observer = recorder
        context.run(x)
        seen.append([result.nodes for result in recorder.results if "project" in result.nodes])
        for name in ("expand", "filter"):
            alone = [r for r in recorder.results if name in r.nodes and "project" not in r.nodes]
            assert len(alone) == (strips_option == "off")
    assert {"expand", "filter", "project"} <= set(seen[0][0])
    assert "expand" not in seen[1][0]
