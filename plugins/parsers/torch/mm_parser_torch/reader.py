"""Reads graphs of PyTorch: nodes in order, regions of control flow; all that is unsupported in one error."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch

from mm_core.errors import InputError, ParseError, UnsupportedOpError, VerifyError
from mm_core.ir import Graph, Location, Network, Value
from mm_core.parsing import Unsupported
from mm_core.types import Dim, TensorData, TensorType
from mm_parser_torch.call import Call, tensor_type
from mm_parser_torch.complexes import Complex, holds_complex, real_dtype
from mm_parser_torch.dims import dim_of
from mm_parser_torch.importers import COMPLEX, HIGHER_ORDER, NUMBERS, TABLE
from mm_parser_torch.tensors import dtype_of, weight_of

SOURCE = "torch"
_REMEDY = 'write an operator package and an importer, or let torch.compile(backend="mm") run these in PyTorch'
_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)
_PLACES = frozenset({"layout", "device", "pin_memory", "memory_format", "non_blocking", "generator"})
"""Arguments that change no element."""
_DRAWN = "pass what is drawn as an input, or parse with random_numbers=True for numbers of the same distribution"
_NUMBER_TYPES = ((torch.SymInt, "int64"), (torch.SymFloat, "float64"), (torch.SymBool, "bool"))


class Reader:
    """Imports the nodes of a program into a network. `names` renames torch's symbols or gives them values."""

    def __init__(self, names: Mapping[str, Dim] | None = None) -> None:
        self.names: Mapping[str, Dim] = names or {}
        self.numbers: set[Value] = set()
        """Values that are Python numbers of the program and no tensors."""
        self.unsupported = Unsupported(_REMEDY)
        self._weights: dict[tuple[Any, ...], TensorData] = {}
        self._constants: dict[tuple[Graph, tuple[Any, ...]], Value] = {}

    # --- leaves ------------------------------------------------------------------------------------------------------

    def type_of(self, example: Any, where: str = "") -> TensorType:
        """Our type of what PyTorch says of a value: a fake tensor or a symbolic number."""
        if isinstance(example, torch.Tensor):
            shape = tuple(dim_of(size, self.names) for size in example.shape)
            return TensorType(dtype_of(example.dtype, where), shape)
        for kind, name in _NUMBER_TYPES:
            if isinstance(example, kind):
                return TensorType(dtype_of(getattr(torch, name)), ())
        raise UnsupportedOpError(f"a value of type {type(example).__name__} is no tensor", where=where)

    def argument(self, g: Graph, example: Any, name: str = "") -> Any:
        """A new argument of a graph for what PyTorch says of a value: two of them for a complex tensor."""
        type_ = self.type_of(example, name)
        add = g.add_typed_input if isinstance(g, Network) and name else lambda name, type_: g.add_argument(type_)
        if not (isinstance(example, torch.Tensor) and example.is_complex()):
            return add(name, type_)
        parts = type_.with_dtype(dtype_of(real_dtype(example.dtype)))
        return Complex(*(add(name and f"{name}.{part}", parts) for part in ("real", "imag")))

    def weight(self, g: Graph, tensor: torch.Tensor, key: str) -> Any:
        """A parameter, buffer or constant as a value; tensors that share memory share one handle."""
        if tensor.is_complex():
            plain = tensor.resolve_conj()
            return Complex(self.weight(g, plain.real, f"{key}.real"), self.weight(g, plain.imag, f"{key}.imag"))
        identity = (tensor.data_ptr() or id(tensor), tuple(tensor.shape), tensor.stride(), tensor.dtype)
        data = self._weights.get(identity)
        if data is None:
            data = self._weights[identity] = weight_of(tensor, key)
        if (g, identity) not in self._constants:
            self._constants[g, identity] = g.constant(data)
        return self._constants[g, identity]

    # --- graphs ------------------------------------------------------------------------------------------------------

    def read(self, module: torch.fx.GraphModule, g: Graph, inputs: Sequence[Any]) -> list[Any]:
        """Import a module's graph into `g`; gives its outputs: values, numbers or None."""
        environment: dict[torch.fx.Node, Any] = {}
        waiting = iter(inputs)
        for node in module.graph.nodes:
            if node.op == "placeholder":
                environment[node] = next(waiting)
                if isinstance(node.meta.get("val"), _SYMBOLIC) and isinstance(environment[node], Value):
                    self.numbers.add(environment[node])
            elif node.op == "get_attr":
                environment[node] = self._attribute(module, node.target, g)
            elif node.op == "call_function":
                environment[node] = self.call(g, node, environment)
            elif node.op == "output":
                return _flat(torch.fx.map_arg(node.args[0], environment.__getitem__))
            else:
                raise ParseError(f"a node of kind {node.op} cannot be read", where=node.name, remedy="export the model")
        raise ParseError("a graph has no output node", where=type(module).__name__)

    def region(
        self, module: torch.fx.GraphModule, within: Graph, types: Sequence[TensorType]
    ) -> tuple[Graph, list[Any]]:
        """A module as a region with arguments of the types given; gives it without outputs, and the outputs."""
        region = Graph(within=within)
        return region, self.read(module, region, [region.add_argument(type_) for type_ in types])

    def _attribute(self, module: torch.fx.GraphModule, path: Any, g: Graph) -> Any:
        found = operator.attrgetter(path)(module)
        return self.weight(g, found, str(path)) if isinstance(found, torch.Tensor) else found

    def call(self, g: Graph, node: torch.fx.Node, environment: Mapping[torch.fx.Node, Any]) -> Any:
        """Import one node, its arguments taken from `environment`. What is unsupported is noted, not raised."""
        location = locate(node)
        call = Call(self, node, str(location))
        arguments: Any = torch.fx.map_arg((node.args, node.kwargs), environment.__getitem__)
        if node.target is operator.getitem:
            container, index = arguments[0]
            return container[index] if container is not None else None
        try:
            with g.at(location):
                result = self._import(g, call, *arguments)
                self._check(call, result)
        except (UnsupportedOpError, VerifyError, InputError) as error:
            self.unsupported.add(error.located(call.where))
            return self._stand_in(g, call)
        if isinstance(node.meta.get("val"), _SYMBOLIC) and isinstance(result, Value):
            self.numbers.add(result)
        return result

    def _import(self, g: Graph, call: Call, args: Sequence[Any], keywords: Mapping[str, Any]) -> Any:
        target = call.target
        number: Callable[..., Any] | None = NUMBERS.get(target)
        if number is not None:
            return number(g, *args)
        if isinstance(target, torch._ops.HigherOrderOperator):
            importer = HIGHER_ORDER.get(str(target))
            if importer is None:
                raise call.unsupported("there is no importer for it")
            return importer(g, call, *args, **keywords)
        arguments = schema_arguments(target, args, keywords)
        importer = TABLE.find(target)
        if holds_complex(arguments):
            importer = COMPLEX.get(str(target))
            if importer is None:
                raise call.unsupported("it is not offered for complex numbers")
        if importer is None:
            raise call.unsupported("there is no importer for it")
        return importer(g, call, *arguments)

    def _check(self, call: Call, result: Any) -> None:
        """Every result must have the type that PyTorch found: a mistake shows here and not in numbers."""
        for example, found in zip(call.examples, result if isinstance(result, (tuple, list)) else [result]):
            value = found.real if isinstance(found, Complex) else found
            if not isinstance(value, Value) or not isinstance(example, torch.Tensor):
                continue
            type_ = tensor_type(value)
            dims = type_.shape or ()
            if (
                dtype_of(real_dtype(example.dtype), call.where) is not type_.dtype
                or example.dtype.is_complex != isinstance(found, Complex)
                or example.ndim != len(dims)
                or any(isinstance(a, int) and isinstance(b, int) and a != b for a, b in zip(example.shape, dims))
            ):
                given = f"{example.dtype}{list(example.shape)}"
                raise UnsupportedOpError(f"{call.target} was read as {type_} where PyTorch gives {given}")

    def _stand_in(self, g: Graph, call: Call) -> Any:
        """Values of the right types for a call that failed, so that the nodes behind it can be judged too."""
        made = [
            self.argument(g, example) if isinstance(example, (torch.Tensor, *_SYMBOLIC)) else example
            for example in call.examples
        ]
        return made if isinstance(call.node.meta.get("val"), (tuple, list)) else made[0]


def schema_arguments(target: torch._ops.OpOverload, args: Sequence[Any], keywords: Mapping[str, Any]) -> list[Any]:
    """Arguments in the order of the operator's schema, defaults filled in; where tensors lie and how is left out."""
    bound = []
    for index, argument in enumerate(target._schema.arguments):
        if argument.name in _PLACES:
            continue
        if index < len(args) and not argument.kwarg_only:
            bound.append(args[index])
        elif argument.name in keywords:
            bound.append(keywords[argument.name])
        else:
            bound.append(argument.default_value)
    return bound


def locate(node: torch.fx.Node) -> Location:
    """The module of the user's tree that a node comes from, and the node's operator."""
    kind = str(node.target).removesuffix(".default") if not callable(node.target) or _is_operator(node) else node.name
    return Location(SOURCE, module_path(node) or node.name, kind)


def _is_operator(node: torch.fx.Node) -> bool:
    return isinstance(node.target, torch._ops.OpOverload | torch._ops.HigherOrderOperator)


def module_path(node: torch.fx.Node) -> str:
    """The path of the innermost module that a node was called in: `encoder.layer.0.attention`."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [str(entry[0]) for key, entry in stack.items() if not str(key).startswith("_")]
    return _plain_path(paths[-1]) if paths else ""


def _plain_path(path: str) -> str:
    """`L['self'].blocks[0].conv` and `L__self___blocks` as the module tree spells them."""
    path = path.removeprefix("L['self']").removeprefix("L__self__").replace("['", ".").replace("']", "")
    path = path.replace("[", ".").replace("]", "")
    return ".".join(part for part in path.split(".") if part and part not in ("_modules", "slice(None, None, None)"))


def _flat(outputs: Any) -> list[Any]:
    return list(outputs) if isinstance(outputs, (tuple, list)) else [outputs]


def submodules(module: torch.fx.GraphModule) -> Iterator[torch.fx.GraphModule]:
    """A graph and the graphs of its control flow."""
    yield module
    for child in module.children():
        if isinstance(child, torch.fx.GraphModule):
            yield from submodules(child)


def has_importer(target: object) -> bool:
    """Whether a node's target can be imported in some form."""
    if isinstance(target, torch._ops.HigherOrderOperator):
        return str(target) in HIGHER_ORDER
    return target is operator.getitem or target in NUMBERS or TABLE.find(target) is not None or str(target) in COMPLEX


def draws(node: torch.fx.Node) -> bool:
    """Whether results are random numbers of the stream that torch.manual_seed begins."""
    target = node.target
    if not isinstance(target, torch._ops.OpOverload) or torch.Tag.nondeterministic_seeded not in target.tags:
        return False
    schema = target._schema.arguments
    given = {argument.name: argument.default_value for argument in schema}
    given |= dict(zip(given, node.args)) | node.kwargs
    used_for_inference = any(given.get(name) is False for name in ("train", "training"))
    return not used_for_inference and not any(given.get(name) == 0 for name in ("p", "dropout", "dropout_p"))


def refuse(modules: Iterable[torch.fx.GraphModule], random_numbers: bool) -> None:
    """One UnsupportedOpError for all operators without an importer, with counts and the modules that call them.

    Unless `random_numbers` are wanted, those that draw any are among them.
    """
    refused = Unsupported(_REMEDY)
    for node in (node for module in modules for node in module.graph.nodes if node.op == "call_function"):
        where = module_path(node) or node.name
        if not has_importer(node.target):
            refused.add(UnsupportedOpError(str(node.target), where=where))
        elif draws(node) and not random_numbers:
            what = f"{node.target} draws from PyTorch's random numbers"
            refused.add(UnsupportedOpError(what, where=where, remedy=_DRAWN))
    refused.raise_all()
