"""From what a user has (a program, a module, a file) to an ExportedProgram."""

from __future__ import annotations

import importlib
import os
import sys
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.utils._pytree as pytree

from mm_core.errors import ParseError
from mm_core.ir import Network
from mm_core.parsing import InputShapes
from mm_parser_torch.arguments import Arguments, scripted_names
from mm_parser_torch.decompositions import QUANTIZED_LIBRARY
from mm_parser_torch.program import read_program
from mm_parser_torch.quiet import quiet
from mm_parser_torch.refusal import refusal
from mm_parser_torch.scripted import export_scripted

_MAX_ENTRIES = 1 << 20


def read_source(
    source: Any, input_shapes: InputShapes, example_inputs: Any, dynamic_shapes: Any, random_numbers: bool
) -> Network:
    """The network of a program, module or path. ParseError says what is missing."""
    _register_caches()
    if isinstance(source, (str, os.PathLike)):
        name = Path(source).stem
        source = load(Path(source))
    elif isinstance(source, torch.export.ExportedProgram):
        name = "program"
    else:
        name = type(source).__name__
    if not isinstance(source, torch.export.ExportedProgram):
        if example_inputs is None and isinstance(source, torch.jit.ScriptModule):
            example_inputs = _zeros(source, input_shapes)
        arguments = Arguments.of(source, example_inputs)
        scripted = isinstance(source, torch.jit.ScriptModule)
        if scripted and dynamic_shapes is not None:
            raise ParseError("TorchScript takes no dynamic_shapes", where=name, remedy="name sizes in input_shapes")
        shapes = arguments.dynamic_shapes(input_shapes) if dynamic_shapes is None else dynamic_shapes
        # The converter of TorchScript makes names of its own.
        own = tuple(arguments.parameters) if scripted else ()
        return read_program(export(source, arguments, shapes), input_shapes, name, own, random_numbers)
    for given, what in ((example_inputs, "example_inputs"), (dynamic_shapes, "dynamic_shapes")):
        if given is not None:
            raise ParseError(f"an exported program takes no {what}", remedy="give them to torch.export.export")
    return read_program(source, input_shapes, name, random_numbers=random_numbers)


def _zeros(module: torch.jit.ScriptModule, input_shapes: InputShapes) -> tuple[torch.Tensor, ...] | None:
    """float32 examples of the shapes that the caller gives for every argument; None where one is open or missing."""
    names = scripted_names(module)
    if not names or any(not all(isinstance(size, int) for size in input_shapes.get(name, (None,))) for name in names):
        return None
    return tuple(torch.zeros([int(size or 0) for size in input_shapes[name]]) for name in names)


# --- files ------------------------------------------------------------------------------------------------------------


def load(path: Path) -> Any:
    """The program or TorchScript module in a file. Pickles are not read: loading one runs code that it names."""
    kind = _kind(path)
    if kind == "pickle":
        raise _pickle_error(path)
    if kind == "compiled":
        raise ParseError(
            "the file is a package of AOTInductor: machine code, and no graph",
            where=str(path),
            remedy="save the exported program itself: torch.export.save(program, 'model.pt2')",
        )
    try:
        with quiet():
            if kind == "torchscript":
                return torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
            importlib.import_module(QUANTIZED_LIBRARY)
            return torch.export.load(path)
    except Exception as error:
        raise ParseError(f"PyTorch cannot read the file: {error}", where=str(path)) from error


def _pickle_error(path: Path) -> ParseError:
    """Says what is in a file of pickled objects: weights alone, which load safely, or anything."""
    try:
        with quiet():
            found = torch.load(path, weights_only=True, map_location="meta")
    except Exception:
        return ParseError(
            "the file is a pickle of Python objects, which can run any code when loaded, and holds no graph",
            where=str(path),
            remedy="load it where you trust it, then torch.export.save(torch.export.export(model, ...), 'model.pt2')",
        )
    count = sum(isinstance(leaf, torch.Tensor) for leaf in pytree.tree_leaves(found))
    return ParseError(
        f"the file is a pickle of {count} tensors, weights without the model that uses them",
        where=str(path),
        remedy="make the model, call model.load_state_dict(torch.load(path, weights_only=True)), and parse the model "
        "with example_inputs",
    )


def _kind(path: Path) -> str:
    """`torchscript`, `program`, `compiled` or `pickle`, by the names in the archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()[:_MAX_ENTRIES]
            if min((entry.header_offset for entry in archive.infolist()), default=0):
                raise zipfile.BadZipFile("its end is that of another archive inside it")
    except (OSError, zipfile.BadZipFile) as error:
        with path.open("rb") as file:
            if file.read(1) == b"\x80":
                return "pickle"
        raise ParseError(f"the file is no archive of PyTorch: {error}", where=str(path)) from error
    inner = {name.partition("/")[2] for name in names}
    if any(name.startswith("models/") or "serialized_exported_program" in name for name in inner | set(names)):
        return "program"
    if any(name.startswith("data/aotinductor/") for name in inner):
        return "compiled"
    if "constants.pkl" in inner and any(name.startswith("code/") for name in inner):
        return "torchscript"
    if "data.pkl" in inner:
        return "pickle"
    raise ParseError("the file is no archive of PyTorch that has a graph", where=str(path))


# --- export -----------------------------------------------------------------------------------------------------------


def export(module: Any, arguments: Arguments, dynamic_shapes: Any) -> torch.export.ExportedProgram:
    """The program of a module for inference; the module is as before afterwards."""
    with quiet(), torch.no_grad(), _evaluating(module):
        try:
            if isinstance(module, torch.jit.ScriptModule):
                return export_scripted(module, arguments, dynamic_shapes)
            return torch.export.export(
                module, arguments.positional, arguments.keywords, dynamic_shapes=dynamic_shapes, strict=False
            )
        except Exception as error:
            raise refusal(error, type(module).__name__) from error


def _register_caches() -> None:
    """Key/value caches of transformers count as nested results where that library is in use."""
    executorch = sys.modules.get("transformers") and importlib.import_module("transformers.integrations.executorch")
    register = getattr(executorch, "register_dynamic_cache_export_support", None)
    if register is not None:
        register()


@contextmanager
def _evaluating(module: Any) -> Any:
    """The module in evaluation mode; each part's own mode comes back afterwards."""
    modes = {part: part.training for part in module.modules()} if isinstance(module, torch.nn.Module) else {}
    for part in modes:
        part.training = False
    try:
        yield
    finally:
        for part, training in modes.items():
            part.training = training
