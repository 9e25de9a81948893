"""From an ExportedProgram to a network: its signature, its named sizes, its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch.export.graph_signature import (
    ConstantArgument,
    InputKind,
    OutputKind,
    SymIntArgument,
    TensorArgument,
)

from mm_core.errors import MMError, ParseError
from mm_core.ir import Network, Value
from mm_core.parsing import InputShapes
from mm_parser_torch.complexes import Complex
from mm_parser_torch.decompositions import decompositions
from mm_parser_torch.quiet import quiet
from mm_parser_torch.reader import Reader, refuse, submodules
from mm_parser_torch.symbols import names_of, ranges_of
from mm_parser_torch.trees import paths

_WEIGHTS = frozenset({InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR})
_STATE = frozenset({OutputKind.BUFFER_MUTATION, OutputKind.PARAMETER_MUTATION, OutputKind.USER_INPUT_MUTATION})


def read_program(
    program: torch.export.ExportedProgram,
    input_shapes: InputShapes,
    name: str,
    parameters: Sequence[str] = (),
    random_numbers: bool = False,
) -> Network:
    """The network of a program. `parameters` names its arguments where the program's own names are not the user's.

    Buffers that the program changes become inputs and outputs of their names; changed inputs, further outputs.
    """
    arguments, out_spec = _user_arguments(program), program.call_spec.out_spec
    if len(parameters) == len(arguments):
        arguments = list(parameters)
    with torch.no_grad(), quiet():
        try:
            program = _flat(program).run_decompositions(decompositions())
        except MMError:
            raise
        except Exception as error:
            raise ParseError(
                f"PyTorch cannot decompose the program: {error}",
                where=name,
                remedy="export it by torch.export.export(..., strict=True) and parse what that gives",
            ) from error
    refuse(submodules(program.graph_module), random_numbers)
    network = Network(name)
    names = dict(zip(_user_arguments(program), arguments))
    examples = {names[argument]: tensor for argument, tensor in _user_inputs(program)}
    reader = Reader(names_of(program, examples, input_shapes))
    outputs = reader.read(program.graph_module, network, _inputs(program, names, network, reader))
    reader.unsupported.raise_all()
    _mark_outputs(program, network, outputs, paths(out_spec), names)
    network.dim_range = ranges_of(program, reader.names, network)
    return network


def _flat(program: torch.export.ExportedProgram) -> torch.export.ExportedProgram:
    """The program taking and giving plain tuples: classes of arguments, which may make tensors, stay out of it."""
    top, *others = program.module_call_graph
    signature = top.signature
    assert signature is not None
    flat = replace(
        signature,
        in_spec=pytree.tree_structure(((0,) * signature.in_spec.num_leaves, {})),
        out_spec=pytree.tree_structure((0,) * signature.out_spec.num_leaves),
        forward_arg_names=None,
    )
    changed = copy(program)
    changed._module_call_graph = [replace(top, signature=flat), *others]
    changed._example_inputs = None
    return changed


# --- inputs and outputs -----------------------------------------------------------------------------------------------


def _user_inputs(program: torch.export.ExportedProgram) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and fake tensors of the tensors that a user passes."""
    examples = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    for spec in program.graph_signature.input_specs:
        if spec.kind is InputKind.USER_INPUT and isinstance(spec.arg, TensorArgument):
            yield spec.arg.name, examples[spec.arg.name]


def _user_arguments(program: torch.export.ExportedProgram) -> list[str]:
    """Names of all arguments that a user passes, numbers too."""
    return [spec.arg.name for spec in program.graph_signature.input_specs if spec.kind is InputKind.USER_INPUT]


def _inputs(
    program: torch.export.ExportedProgram, names: Mapping[str, str], network: Network, reader: Reader
) -> list[Any]:
    """What each placeholder stands for: a new input, a weight, a number, an object. The user's inputs come first."""
    examples = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    changed = _changed(program)
    specs = program.graph_signature.input_specs
    found: dict[int, Any] = {}
    for index in sorted(range(len(specs)), key=lambda index: specs[index].kind is not InputKind.USER_INPUT):
        spec, target = specs[index], str(specs[index].target)
        if isinstance(spec.arg, ConstantArgument):
            found[index] = spec.arg.value
        elif spec.kind in _WEIGHTS and spec.target not in changed:
            found[index] = reader.weight(network, _tensor(program, target), target)
        elif isinstance(spec.arg, (TensorArgument, SymIntArgument)):
            name = names.get(spec.arg.name, target)
            found[index] = reader.argument(network, examples[spec.arg.name], name)
        else:
            found[index] = program.constants.get(target)
    return [found[index] for index in range(len(specs))]


def _changed(program: torch.export.ExportedProgram) -> set[str | None]:
    """Buffers, parameters and inputs to which the program gives another value; some are only put back as they were."""
    signature = program.graph_signature
    own = {spec.target: spec.arg.name for spec in signature.input_specs}
    states = (spec for spec in signature.output_specs if spec.kind in _STATE)
    return {spec.target for spec in states if spec.arg.name != own.get(spec.target, spec.target)}


def _tensor(program: torch.export.ExportedProgram, name: str) -> torch.Tensor:
    found: Mapping[str, Any] = program.state_dict if name in program.state_dict else program.constants
    if name not in found:
        raise ParseError("the program has no data for this weight", where=name, remedy="export it again")
    tensor: torch.Tensor = found[name]
    return tensor


def _mark_outputs(
    program: torch.export.ExportedProgram,
    network: Network,
    outputs: list[Any],
    places: Sequence[str],
    inputs: Mapping[str, str],
) -> None:
    """The user's outputs first, named by their places; then what the program changes, by its own name."""
    names, states = iter(places), _changed(program)
    changed: list[tuple[str, Any]] = []
    for spec, value in zip(program.graph_signature.output_specs, outputs):
        if spec.kind is OutputKind.USER_OUTPUT:
            name = next(names)
            if value is None or isinstance(spec.arg, ConstantArgument):
                continue  # A constant of the program, which no request changes.
            _mark(network, value, name)
        elif spec.target in states:
            target = str(spec.target)
            changed.append((inputs.get(target, target), value))
    for name, value in changed:
        _mark(network, value, name)


def _mark(network: Network, value: Any, name: str) -> None:
    """An output, two of them for a complex tensor."""
    if isinstance(value, Complex):
        _mark(network, value.real, f"{name}.real")
        _mark(network, value.imaginary, f"{name}.imag")
    else:
        network.mark_output(_as_output(network, value), name)


def _as_output(network: Network, value: Any) -> Value:
    """A value of its own for each output: an input or a weight goes through an identity."""
    if not isinstance(value, Value):
        return network.constant(value, "float64" if isinstance(value, float) else None)
    if value.defining_op is None or value.defining_op.name == "mm.constant" or value in network.outputs:
        return network.identity(value)  # type: ignore[no-any-return]
    return value
