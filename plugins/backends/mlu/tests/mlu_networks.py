"""Networks that the MLU alone runs, compared with the interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from mm_backend_mlu.compiler import MluCompiler
from mm_backend_reference import interpret

import mm_core as mm
from mm_core.compiler import CompileContext
from mm_core.types import as_dtype

Array = np.ndarray
Build = Callable[..., Any]
TOLERANCES = {"float32": (1e-4, 1e-5), "float16": (5e-3, 5e-3)}
SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.5, 0.5, 88.0, -100.0], np.float32)


def floats(*shape: int, dtype: Any = np.float32, seed: int = 0) -> Array:
    return np.random.default_rng((seed, *shape)).standard_normal(shape).astype(dtype)


def integers(*shape: int, low: int = -9, high: int = 9, dtype: Any = np.int64, seed: int = 0) -> Array:
    return np.random.default_rng((seed, *shape)).integers(low, high, shape).astype(dtype)


def network_of(build: Build, arrays: Sequence[Array]) -> mm.Network:
    """The network whose outputs `build(network, *inputs)` gives."""
    network = mm.Network("network")
    inputs = [
        network.add_input(f"x{index}", as_dtype(array.dtype), array.shape) for index, array in enumerate(arrays)
    ]
    results = build(network, *inputs)
    for index, value in enumerate(results if isinstance(results, (list, tuple)) else [results]):
        network.mark_output(value, f"y{index}")
    return network


def check(build: Build, *arrays: Array, tolerances: Any = None, **options: Any) -> mm.Model:
    """Build for the MLU alone, run, compare every result with the interpreter's on the network as written."""
    network = network_of(build, arrays)
    wanted = interpret(network, list(arrays))
    names = list(network.output_names)
    model = mm.Builder(mm.BuilderConfig(backends=["mlu"], strict=True, **options)).build(network)
    assert {record.device for record in model.report.placement} <= {"mlu"}
    got = model.create_engine().create_context().run({f"x{i}": array for i, array in enumerate(arrays)})
    for name, expected in zip(names, wanted, strict=True):
        expected = np.asarray(expected)
        assert got[name].dtype == expected.dtype, name
        relative, absolute = tolerances or TOLERANCES.get(str(expected.dtype), (0.0, 0.0))
        np.testing.assert_allclose(got[name], expected, rtol=relative, atol=absolute, err_msg=name, strict=True)
    return model


def source_of(build: Build, *arrays: Array) -> str:
    """The translation unit of a network that is one part."""
    artefact: Any = network_of(build, arrays)
    for stage in MluCompiler("mtp_372").stages[:-1]:
        artefact = stage.run(artefact, CompileContext())
    return str(artefact)
