"""Element-wise operations of the IR as expressions of the code generator."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from mm_backend_mlu.codegen.expression import C_TYPES, FLOATS, Expression, Node, Number, Ref
from mm_backend_mlu.codegen.scalar_forms import scalar_form
from mm_backend_mlu.lowering.values import constant_data, dtype_of, outside
from mm_core.errors import UnsupportedOpError
from mm_core.ir import Builder, Network, Operation, Value
from mm_core.ops import Trait

_FOLDS = {"sum": "add", "max": "maximum", "min": "minimum"}


class ExpressionBuilder:
    """Collects operations into one expression. `inputs` are the values it reads, in the order of their references.

    `alias` gives the outside values that a region's arguments stand for. What has no form is taken apart by its
    definition; UnsupportedOpError says what then has none.
    """

    def __init__(self, alias: Mapping[Value, Value | None] | None = None) -> None:
        self.alias = dict(alias or {})
        self.inputs: list[Value] = []
        self.nodes: list[Node] = []
        self.refs: dict[Value, Ref] = {}

    def expression(self, results: Iterable[Value]) -> Expression:
        """What was collected, with these values as results."""
        kept = tuple(self.read(value, scalar=False) for value in results)
        return Expression(tuple(self.nodes), tuple(dtype_of(value).text for value in self.inputs), kept)

    def read(self, value: Value, scalar: bool = True) -> Ref:
        """The reference of a value: known, a scalar constant where that may be, or a new input."""
        value = outside(value, self.alias)
        if value in self.refs and (scalar or self.refs[value][0] != "scalar"):
            return self.refs[value]
        data = constant_data(value)
        if scalar and data is not None and data.size == 1 and data.dtype.text in C_TYPES:
            number: Number = data.numpy().reshape(()).item()
            return ("scalar", number if data.dtype.is_integer else float(number))
        return self.input(value)

    def input(self, value: Value) -> Ref:
        """A new input."""
        self._require_computable(value)
        self.inputs.append(value)
        self.refs[value] = ("input", len(self.inputs) - 1)
        return self.refs[value]

    def _require_computable(self, value: Value) -> None:
        if dtype_of(value).text not in C_TYPES:
            raise UnsupportedOpError(f"elements of type {dtype_of(value).name} are only moved on this device")

    def node(self, op: str, args: tuple[Ref, ...], dtype: str, result: str, flags: tuple[bool, ...] = ()) -> Ref:
        """Append a node."""
        self.nodes.append(Node(op, args, dtype, result, flags))
        return ("node", len(self.nodes) - 1)

    def add(self, operation: Operation) -> None:
        """Append an operation. UnsupportedOpError if expressions cannot hold it."""
        self.refs[operation.result] = self._translate(operation)

    def _translate(self, operation: Operation) -> Ref:
        name = operation.name.removeprefix("mm.")
        values = [value for value in operation.operands if value is not None]
        dtype, result = dtype_of(values[-1]).text, dtype_of(operation.result).text
        for value in (*values, operation.result):
            self._require_computable(value)
        args = [self.read(value) for value in values]
        if all(kind == "scalar" for kind, _ in args):
            args[0] = self.input(outside(values[0], self.alias))
        composite = _COMPOSITES.get(name)
        if composite is not None and dtype in FLOATS:
            built = composite(_Nodes(self, dtype), *args, **operation.attributes)
            if built is not None:
                return built
        if name in _FOLDS or (name == "clip" and len(values) == len(operation.operands)):
            steps = (_FOLDS[name],) * (len(args) - 1) if name in _FOLDS else ("maximum", "minimum")
            return self._folded(steps, args, dtype)
        flags: tuple[bool, ...] = ()
        if name == "is_inf":
            flags = operation.attributes["detect_negative"], operation.attributes["detect_positive"]
        node = Node(name, tuple(args), dtype, result, flags)
        if scalar_form(node) is not None and (name == "cast" or not set(operation.attributes) - _FLAGS):
            return self.node(name, tuple(args), dtype, result, flags)
        return self._taken_apart(operation)

    def _folded(self, steps: Iterable[str], args: list[Ref], dtype: str) -> Ref:
        total = args[0]
        for step, arg in zip(steps, args[1:]):
            total = self.node(step, (total, arg), dtype, dtype)
        return total

    def _taken_apart(self, operation: Operation) -> Ref:
        """A composite by its definition's decomposition."""
        reason = f"no code for {operation.name} on {dtype_of(operation.result).name}"
        if Trait.ELEMENTWISE not in operation.definition.traits:
            raise UnsupportedOpError(reason)
        network = Network("composite")
        arguments = [
            None if value is None else network.add_argument(outside(value, self.alias).type)
            for value in operation.operands
        ]
        built = operation.definition.decompose(Builder(network), *arguments, **operation.attributes)
        if not isinstance(built, Value):
            raise UnsupportedOpError(reason)
        for argument, value in zip(arguments, operation.operands):
            if argument is not None and value is not None:
                self.alias[argument] = outside(value, self.alias)
        for inner in network.operations:
            if inner.name != "mm.constant":
                self.add(inner)
        return self.read(built)


_FLAGS = {"detect_negative", "detect_positive"}


class _Nodes:
    """Writes nodes of one float type."""

    def __init__(self, builder: ExpressionBuilder, dtype: str) -> None:
        self.builder = builder
        self.dtype = dtype

    def __call__(self, op: str, *args: Ref | float) -> Ref:
        refs = tuple(arg if isinstance(arg, tuple) else ("scalar", float(arg)) for arg in args)
        return self.builder.node(op, refs, self.dtype, self.dtype)


def _leaky_relu(e: _Nodes, x: Ref, alpha: float) -> Ref | None:
    """The larger of both lines where the lower is the flatter one; an infinite x times zero would be no number."""
    return e("maximum", x, e("mul", x, alpha)) if 0.0 < alpha <= 1.0 else None


def _gelu(e: _Nodes, x: Ref, approximate: str) -> Ref | None:
    if approximate != "none":
        inner = e("mul", e("add", e("mul", e("mul", e("mul", x, x), x), 0.044715), x), 0.7978845608028654)
        return e("mul", e("mul", x, 0.5), e("add", e("tanh", inner), 1.0))
    return e("mul", e("mul", x, 0.5), e("add", e("erf", e("mul", x, 0.7071067811865476)), 1.0))


def _bounded(e: _Nodes, x: Ref, alpha: float, beta: float) -> Ref:
    return e("maximum", e("minimum", e("add", e("mul", x, alpha), beta), 1.0), 0.0)


def _power(e: _Nodes, x: Ref, exponent: Ref) -> Ref | None:
    if exponent[0] != "scalar" or exponent[1] not in (1.0, 2.0, 3.0, -1.0):
        return None
    if exponent[1] == 1.0:
        return x
    if exponent[1] == -1.0:
        return e("reciprocal", x)
    square = e("mul", x, x)
    return square if exponent[1] == 2.0 else e("mul", square, x)


def _quotient(e: _Nodes, a: Ref, b: Ref) -> Ref | None:
    """A quotient by a constant that is a power of two is an exact product; others are left as they are."""
    if b[0] != "scalar" or not b[1] or abs(b[1]) not in _POWERS_OF_TWO:
        return None
    return e("mul", a, 1.0 / b[1])


_POWERS_OF_TWO = frozenset(2.0**k for k in range(-14, 15))
_COMPOSITES: Mapping[str, Callable[..., Ref | None]] = {
    "relu": lambda e, x: e("maximum", x, 0.0),
    "leaky_relu": _leaky_relu,
    "silu": lambda e, x: e("mul", x, e("sigmoid", x)),
    "swish": lambda e, x, alpha: e("mul", x, e("sigmoid", e("mul", x, alpha))),
    "gelu": _gelu,
    "hard_sigmoid": _bounded,
    "hard_swish": lambda e, x: e("mul", x, _bounded(e, x, 1 / 6, 0.5)),
    "square": lambda e, x: e("mul", x, x),
    "pow": _power,
    "div": _quotient,
}
"""Composites on floats, by what the vector unit does well. None: with these operands it is done in another way."""


def refusal(operations: Iterable[Operation], alias: Mapping[Value, Value | None] | None = None) -> str:
    """Why these operations cannot be one expression; empty if they can."""
    builder = ExpressionBuilder(alias)
    try:
        for operation in operations:
            if operation.name != "mm.constant":
                builder.add(operation)
    except UnsupportedOpError as error:
        return error.what
    return ""
