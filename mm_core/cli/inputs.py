"""Inputs of mm_run: shapes from the command line, arrays from files or from a seeded generator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mm_core.cli.values import Shapes, shapes_by_name, spread
from mm_core.errors import InputError
from mm_core.types import Dim, SymDim, TensorSpec, TensorType, evaluate, evaluate_int, symbols

Arrays = dict[str, Any]

DEFAULT_SYMBOL = 1
"""Size of a symbolic dimension that nobody gave."""


@dataclass(frozen=True)
class ResolvedShapes:
    """A static shape for every input, and the symbols that had to be guessed for it."""

    shapes: Mapping[str, tuple[int, ...]]
    guessed: tuple[str, ...]


def resolve_shapes(
    specs: Sequence[TensorSpec], given: Shapes, batch_sizes: Sequence[int | None] = ()
) -> ResolvedShapes:
    """Static input shapes from `--input_dims` (by name or position) and `--batch_size`.

    A symbol that one input fixes holds for all; one that nothing fixes becomes 1 and is reported as guessed.
    InputError for an unknown input, a wrong rank, or sizes that contradict the model or each other.
    """
    chosen = shapes_by_name([spec.name for spec in specs], given)
    bindings: dict[str, Dim] = {}
    for spec in specs:
        wanted: Sequence[int | None] = chosen.get(spec.name, ())
        if spec.name in chosen and spec.shape is not None:
            _unify(spec, spec.shape, wanted, bindings)
    for spec, batch in zip(specs, spread(batch_sizes, len(specs))):
        if batch is not None and spec.shape and spec.name not in chosen:
            _unify(spec, spec.shape, (batch, *[None] * (len(spec.shape) - 1)), bindings)
    free = sorted(name for spec in specs for dim in spec.shape or () for name in symbols(dim) if name not in bindings)
    bindings |= dict.fromkeys(free, DEFAULT_SYMBOL)
    return ResolvedShapes(
        {spec.name: _static(spec, chosen.get(spec.name), bindings) for spec in specs},
        tuple(dict.fromkeys(free)),
    )


def _unify(spec: TensorSpec, shape: tuple[Dim, ...], wanted: Sequence[int | None], bindings: dict[str, Dim]) -> None:
    """Bind the plain symbols of `shape` to the sizes wanted; None keeps what the model says."""
    text = "x".join(map(str, shape)) or "a scalar"
    if len(wanted) != len(shape):
        raise InputError(f"the input {spec.name!r} is {text}, got {len(wanted)} dimensions")
    for dim, size in zip(shape, wanted):
        if size is None:
            continue
        known = evaluate(dim, bindings)
        if isinstance(known, SymDim) and symbols(known) == {str(known)}:
            bindings[str(known)] = size
        elif isinstance(known, int) and known != size:
            raise InputError(
                f"the input {spec.name!r} is {text}, which does not allow {size} for {dim}"
                + (f" (already {known})" if isinstance(dim, SymDim) else "")
            )


def _static(spec: TensorSpec, given: tuple[int, ...] | None, bindings: Mapping[str, Dim]) -> tuple[int, ...]:
    if spec.shape is None:
        if given is None:
            raise InputError(
                f"the rank of the input {spec.name!r} is not known",
                remedy=f"give its shape: --input_dims {spec.name}=1,3,224,224",
            )
        return given
    shape = tuple(evaluate_int(dim, bindings) for dim in spec.shape)
    if given is not None and shape != given:
        raise InputError(f"the input {spec.name!r} cannot be {given}: its shape is {spec.shape}")
    return shape


def random_inputs(specs: Sequence[TensorSpec], shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> Arrays:
    """Reproducible inputs: normal floats, zeros and ones for integers (any table has two rows), empty strings."""
    generator = np.random.default_rng(seed)
    return {spec.name: _random(spec, shapes[spec.name], generator) for spec in specs}


def _random(spec: TensorSpec, shape: tuple[int, ...], generator: np.random.Generator) -> Any:
    if not isinstance(spec.type, TensorType):
        raise InputError(
            f"the input {spec.name!r} is {spec.type}; only tensors can be made up", remedy="use --input_files"
        )
    kind = spec.dtype.kind
    if kind == "string":
        return np.full(shape, "", dtype=object)
    if kind in ("signed", "unsigned", "bool"):
        return generator.integers(0, 2, shape).astype(spec.dtype.numpy)
    return np.asarray(generator.standard_normal(shape)).astype(spec.dtype.numpy)


def read_inputs(files: Sequence[Path], specs: Sequence[TensorSpec]) -> Arrays:
    """Arrays from .npz files (by name) and .npy files (by position among the inputs)."""
    arrays: Arrays = {}
    names = [spec.name for spec in specs]
    position = 0
    for path in files:
        loaded = _load(path)
        if isinstance(loaded, dict):
            arrays |= loaded
        elif position >= len(names):
            raise InputError(f"{path} is one .npy file too many: the model has {len(names)} inputs")
        else:
            arrays[names[position]] = loaded
            position += 1
    missing = [name for name in names if name not in arrays]
    if missing:
        raise InputError(f"the input files lack {', '.join(missing)}", available=", ".join(arrays) or "nothing in them")
    unknown = [name for name in arrays if name not in names]
    if unknown:
        raise InputError(f"the model has no input {', '.join(unknown)}", available=", ".join(names))
    return arrays


def _load(path: Path) -> Any:
    try:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError) as error:
        raise InputError(
            f"cannot be read as .npy or .npz: {error}",
            where=str(path),
            remedy="write it with numpy.save or savez",
        ) from error


def write_outputs(outputs: Mapping[str, Any], folder: Path) -> list[Path]:
    """One .npy file per output in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, value in outputs.items():
        path = folder / f"{file_name(name)}.npy"
        np.save(path, np.asarray(value), allow_pickle=False)
        written.append(path)
    return written


def file_name(name: str) -> str:
    """A name as part of a file's name: whatever may not stand there becomes `_`."""
    return "".join(character if character.isalnum() or character in "-_." else "_" for character in name)[:100]
