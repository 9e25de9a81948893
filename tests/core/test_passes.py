"""The pass manager: order, options as text, verification, reproducers, printing, hooks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import ml_dtypes
import numpy as np
import pytest

import mm_core as mm
from mm_core import plugins
from mm_core.errors import PassError, PluginMissingError
from mm_core.passes import (
    Instrumentation,
    Pass,
    PassContext,
    PassManager,
    PassResult,
    Phase,
    RewritePass,
    default_pipeline,
    load_reproducer,
    order_passes,
    parse_pipeline,
)
from mm_core.passes import options as pass_options


@dataclass(frozen=True)
class Optioned(Pass):
    """Every kind of option."""

    name: ClassVar[str] = "optioned"
    phase: ClassVar[Phase] = Phase.FUSE
    max_heads: int = 64
    ratio: float = 0.5
    aggressive: bool = False
    mode: str = "plain"
    sizes: tuple[int, ...] = ()
    limit: int | None = None

    def run(self, network: mm.Network, context: PassContext) -> PassResult:
        return PassResult.counted(seen=len(network))


@dataclass(frozen=True)
class Breaking(Pass):
    """Leaves a network that is not valid."""

    name: ClassVar[str] = "breaking"
    phase: ClassVar[Phase] = Phase.FOLD

    def run(self, network: mm.Network, context: PassContext) -> PassResult:
        first = next(network.operations)
        first.results[0].type = mm.TensorType(mm.int64, (1,))
        return PassResult(True)


@dataclass(frozen=True)
class Crashing(Pass):
    name: ClassVar[str] = "crashing"
    phase: ClassVar[Phase] = Phase.FOLD

    def run(self, network: mm.Network, context: PassContext) -> PassResult:
        raise KeyError("oops")


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """These classes answer to their names, beside the installed passes."""
    local = {kind.name: kind for kind in (Optioned, Breaking, Crashing)}
    real = plugins.load
    monkeypatch.setattr(pass_options.plugins, "load", lambda group, name: local.get(name) or real(group, name))


def example() -> mm.Network:
    network = mm.Network("example")
    x = network.add_input("x", mm.float32, ("N", 3))
    weight = np.arange(18, dtype=np.float32).reshape(3, 6)
    network.mark_output(network.relu(network.matmul(x, weight)), "y")
    return network


@pytest.mark.parametrize(
    "text",
    [
        "optioned",
        "optioned{max-heads=8}",
        "optioned{ratio=1e-05,aggressive=true}",
        'optioned{mode="true",sizes=[1,2,3],limit=7}',
        'optioned{mode="a b, {c}"}',
        "optioned{ratio=inf}",
        "simplify,optioned{max-heads=-1},simplify",
        "fold-constants{max-bytes=64},eliminate-dead-code",
        "",
    ],
)
def test_pipelines_round_trip_as_text(text: str) -> None:
    assert str(parse_pipeline(text)) == text


def test_options_are_converted() -> None:
    (instance,) = parse_pipeline('optioned{sizes=[4,5],limit=none,mode="8",ratio=2}')
    assert instance == Optioned(sizes=(4, 5), mode="8", ratio=2.0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optioned{heads=1}", "no option 'heads'; available: max-heads, ratio"),
        ("optioned{max-heads=many}", "'max-heads' of 'optioned' is 'many', wanted int"),
        ('optioned{max-heads="1"}', "wanted int"),
        ("optioned{aggressive=1}", "wanted bool"),
        ("optioned{sizes=3}", "wanted tuple"),
        ("optioned{max-heads=1", "ends where"),
        ("optioned{max-heads}", "'='"),
        ("optioned simplify", "','"),
        ("optioned;simplify", "cannot be read at character 8"),
    ],
)
def test_bad_pipelines_say_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(PassError) as caught:
        parse_pipeline(text)
    assert message in str(caught.value)


def test_an_unknown_pass_lists_what_is_installed() -> None:
    with pytest.raises(PluginMissingError, match="simplify"):
        parse_pipeline("simplfy")


def make(pass_name: str, of: Phase = Phase.FOLD, **members: tuple[str, ...]) -> type[Pass]:
    return type("P", (Optioned,), {"name": pass_name, "phase": of, **members})


def test_order_is_phase_then_constraints_then_name() -> None:
    kinds = [
        make("z", Phase.CANONICALIZE),
        make("a"),
        make("b", before=("a",)),
        make("c", after=("missing", "d")),
        make("d", phases_again=(Phase.FINALIZE,)),
    ]
    assert [kind.name for kind in order_passes(kinds)] == ["z", "b", "a", "d", "c", "d"]


def test_a_circle_names_its_passes() -> None:
    with pytest.raises(PassError, match=r"phase FOLD.*'a' after b, 'b' after a"):
        order_passes([make("a", after=("b",)), make("b", after=("a",)), make("c")])


def test_an_invalid_network_is_the_passes_fault() -> None:
    with pytest.raises(PassError, match=r"the pass 'breaking' failed: it left an invalid network.*disable_passes"):
        PassManager([Breaking()]).run(example())
    PassManager([Breaking()], verify=False).run(example())


def test_a_crash_names_the_pass() -> None:
    with pytest.raises(PassError, match="the pass 'crashing' failed: internal error KeyError") as caught:
        PassManager([Crashing()]).run(example())
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_reproducer_reproduces(tmp_path: Path) -> None:
    network = example()
    extra = np.arange(20).astype(ml_dtypes.bfloat16).reshape(4, 5)
    network.mark_output(network.constant(mm.TensorData.of(extra, key="layer/weight:0")), "extra")
    network.mark_output(network.constant(mm.TensorData.of(np.array(2.5, np.float16), key="scalar")), "scalar")
    folder = tmp_path / "reproducer"
    manager = PassManager(
        [Optioned(), Breaking(), Optioned(max_heads=2)], instrumentation=Instrumentation(reproducer=folder)
    )
    before = str(network)
    with pytest.raises(PassError, match=r"are in .*reproducer"):
        manager.run(network)
    loaded, pipeline = load_reproducer(folder)
    assert pipeline == "breaking,optioned{max-heads=2}"
    assert str(loaded) == before
    constants = [op.attributes["value"].numpy() for op in loaded.operations if op.name == "mm.constant"]
    np.testing.assert_array_equal(constants[1], extra)
    assert constants[2].shape == ()
    with pytest.raises(PassError, match="'breaking' failed"):
        parse_pipeline(pipeline).run(loaded)
    with pytest.raises(PassError, match="no reproducer"):
        load_reproducer(tmp_path / "elsewhere")


def test_the_graph_is_printed_after_each_change(tmp_path: Path) -> None:
    network = example()
    manager = parse_pipeline(
        "eliminate-dead-code,fuse-epilogue,simplify", instrumentation=Instrumentation(print_ir=tmp_path / "ir")
    )
    result = manager.run(network)
    assert sorted(path.name for path in (tmp_path / "ir").iterdir()) == ["00-input.mlir", "02-fuse-epilogue.mlir"]
    assert "mm.fused" in (tmp_path / "ir" / "02-fuse-epilogue.mlir").read_text()
    assert result.changed
    assert result.counts == {"fuse-epilogue: matmul": 1}
    assert [record.text for record in manager.records] == ["eliminate-dead-code", "fuse-epilogue", "simplify"]
    assert all(record.seconds >= 0 for record in manager.records)


def test_progress_and_hooks_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[tuple[str, str]] = []

    class Relay:
        def mm_pass_about_to_run(self, instance: Pass, network: mm.Network) -> None:
            events.append(("before", instance.name))

        def mm_pass_finished(self, instance: Pass, network: mm.Network, result: PassResult, seconds: float) -> None:
            events.append(("after", instance.name))

    monkeypatch.setattr(plugins, "hooks", Relay)
    told: list[tuple[int, int, str]] = []
    parse_pipeline("simplify,optioned").run(
        example(), PassContext(progress=lambda done, total, name: told.append((done, total, name)))
    )
    assert events == [("before", "simplify"), ("after", "simplify"), ("before", "optioned"), ("after", "optioned")]
    assert told == [(0, 2, "simplify"), (1, 2, "optioned"), (2, 2, "")]


def test_the_default_pipeline_depends_on_the_level() -> None:
    assert str(default_pipeline(opt_level=0)) == "lower-precision"  # which does something only if asked
    light, full = (default_pipeline(opt_level=level) for level in (1, 2))
    assert {instance.name for instance in light} < {instance.name for instance in full}
    assert "simplify" in {instance.name for instance in light}
    assert not full.skipped
    without = default_pipeline(disabled=["simplify", "fuse-epilogue"])
    assert {instance.name for instance in full} - {i.name for i in without} == {"simplify", "fuse-epilogue"}
    chosen = default_pipeline(disabled=["simplify"], text="simplify,fold-constants{max-bytes=1}")
    assert str(chosen) == "fold-constants{max-bytes=1}"


def test_a_disabled_pass_must_exist() -> None:
    with pytest.raises(PassError, match=r"'simplfy'.*available: .*simplify"):
        default_pipeline(disabled=["simplfy"])


def test_every_installed_pass_loads_and_knows_its_order() -> None:
    from mm_core.passes.options import load_pass

    names = [record.name for record in plugins.records("mm.passes")]
    kinds = [load_pass(name) for name in names]
    known = set(names)
    for kind in kinds:
        assert kind.__doc__
        assert set(kind.before) | set(kind.after) <= known, kind.name
        if issubclass(kind, RewritePass):
            assert kind().self_test() == f"{len(kind.rules)} rules"
    order_passes(kinds)
