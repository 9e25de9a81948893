"""The interpreter: the oracle of the other backends, and the template that vendors read."""

from __future__ import annotations

import weakref
from pathlib import Path

import mm_backend_reference
import numpy as np
import pytest
from mm_backend_reference import ReferenceBackend, interpret

import mm_core as mm
from mm_core.compiler import CompileContext, No, Yes
from mm_core.errors import BuildError, DeviceError, InputError, UnsupportedOpError
from mm_core.ir import Graph
from mm_core.ops import OpDef, Operand, Result, register
from mm_core.ops.registry import unregister

MAX_LINES = 250


def network() -> mm.Network:
    net = mm.Network("small")
    x = net.add_input("x", mm.float32, ("N", 4))
    h = net.linear(x, np.arange(12, dtype=np.float32).reshape(3, 4), name="layer")
    net.mark_output(net.softmax(h), "y")
    return net


def test_the_template_stays_short() -> None:
    folder = Path(mm_backend_reference.__file__).parent
    assert sum(len(path.read_text().splitlines()) for path in folder.glob("*.py")) <= MAX_LINES


def test_it_is_numpy() -> None:
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    h = x @ np.arange(12, dtype=np.float32).reshape(3, 4).T
    wanted = np.exp(h - h.max(-1, keepdims=True))
    model = mm.Builder(mm.BuilderConfig(backends=["reference"])).build(network())
    got = model.create_engine().create_context().run({"x": x})["y"]
    np.testing.assert_allclose(got, wanted / wanted.sum(-1, keepdims=True), rtol=1e-5)


def test_every_kernel_is_a_fallback_and_strict_refuses_them() -> None:
    model = mm.Builder(mm.BuilderConfig(backends=["reference"])).build(network())
    assert {record.kind for record in model.report.placement} == {"fallback"}
    with pytest.raises(BuildError, match=r"layer: no backend runs mm\..*refused by strict"):
        mm.Builder(mm.BuilderConfig(backends=["reference"], strict=True)).build(network())


def test_devices() -> None:
    backend = ReferenceBackend()
    assert [info.name for info in backend.probe()] == ["reference:0"]
    assert backend.open("reference:0").name == "reference:0"
    with pytest.raises(DeviceError, match=r"no device reference:1.*reference:0"):
        backend.open("reference:1")


def test_what_it_supports() -> None:
    compiler = ReferenceBackend().compiler({})
    net = network()
    assert [compiler.supports(op) for op in net.operations if op.name != "mm.constant"] == [Yes(fallback=True)] * 2
    branches = []
    for _ in range(2):
        branch = Graph(within=net)
        branch.set_outputs([branch.neg(branch.add_argument(net.arguments[0].type))])
        branches.append(branch)
    choice = net.if_(net.constant(True), net.arguments[0], regions=branches)[0].defining_op
    assert isinstance(compiler.supports(choice), No)


def test_the_same_part_gives_the_same_executable() -> None:
    compiler = ReferenceBackend().compiler({})
    first, second = (compiler.compile(network(), CompileContext()) for _ in range(2))
    assert first.code == second.code
    assert first.operators == ("mm",)
    assert [record.nodes for record in first.kernels] == [("layer",), ()]


class Broken(OpDef):
    """Raises what its operand says."""

    name = "mm.test_broken"
    operands = (Operand("x", "T"),)
    results = (Result("y", "T"),)
    dtypes = {"T": frozenset({mm.float32})}
    failure: Exception = ValueError("too odd")

    def infer(self, types: object, values: object) -> object:
        return types[0].shape

    def reference(self, x: np.ndarray) -> np.ndarray:
        raise self.failure


@pytest.mark.parametrize(
    ("failure", "kind", "message"),
    [
        (ValueError("too odd"), InputError, r"mine: mm\.test_broken failed: too odd"),
        (IndexError("7"), InputError, "mine: .*failed: 7"),
        (MemoryError(), DeviceError, "mine: .*out of memory"),
        (UnsupportedOpError("no"), UnsupportedOpError, "mine: no"),
    ],
)
def test_failures_name_the_users_node(failure: Exception, kind: type, message: str) -> None:
    register(Broken)
    try:
        Broken.failure = failure
        net = mm.Network("broken")
        net.mark_output(net.op("mm.test_broken", net.add_input("x", mm.float32, (2,)), name="mine"), "y")
        with pytest.raises(kind, match=message):
            interpret(net, [np.ones(2, np.float32)])
    finally:
        unregister(Broken.name)


def test_what_nobody_reads_any_more_is_let_go() -> None:
    seen: list[weakref.ref[np.ndarray]] = []
    alive: list[int] = []

    class Watcher:
        wants_results, wants_times = True, False

        def result(self, label: str, nodes: object, array: np.ndarray) -> None:
            alive.append(sum(reference() is not None for reference in seen))
            seen.append(weakref.ref(array))

        def kernel(self, label: str, nodes: object, seconds: float) -> None: ...

    net = mm.Network("chain")
    y = net.add_input("x", mm.float32, (10,))
    for _ in range(20):
        y = net.neg(y)
    net.mark_output(y, "y")
    interpret(net, [np.ones(10, np.float32)], Watcher())
    assert len(seen) == 20
    assert max(alive) <= 2
