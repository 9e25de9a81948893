"""`OpDef`: everything that mm knows about an operator, in one place.

A plain operator states its operands, results and attributes as data and writes two or three short methods:

    class Gather(OpDef):
        "Slices of x along `axis`, chosen by integer indices (negative ones count from the end)."

        name = "mm.gather"
        operands = (Operand("x", "T"), Operand("indices", "I"))
        results = (Result("y", "T"),)
        dtypes = {"T": ALL, "I": INDEX}
        attributes = (Attribute("axis", int, 0),)

        def infer(self, types, values, *, axis):
            x, indices = types
            return x.shape[:axis] + indices.shape + x.shape[axis + 1 :]

        def reference(self, x, indices, *, axis):
            return np.take(x, indices, axis)

`dtypes` names type variables: operands that share a variable share the element type.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Protocol, cast, get_args

import numpy as np

from mm_core.errors import MMError, UnsupportedOpError, VerifyError
from mm_core.types import BY_NAME, DTYPES, Dim, DType, Shape, TensorData, TensorType, ValueType, as_dtype

FLOATS = frozenset(dtype for dtype in DTYPES if dtype.is_float and dtype.bits >= 16)
SMALL_FLOATS = frozenset(dtype for dtype in DTYPES if dtype.is_float and dtype.bits < 16)
INTEGERS = frozenset(dtype for dtype in DTYPES if dtype.is_integer and dtype.bits >= 8)
SMALL_INTEGERS = frozenset(dtype for dtype in DTYPES if dtype.is_integer and dtype.bits < 8)
COMPLEX = frozenset(dtype for dtype in DTYPES if dtype.kind == "complex")
BOOL = frozenset({BY_NAME["bool"]})
INDEX = frozenset(dtype for dtype in DTYPES if dtype.name in ("int32", "int64"))
NUMERIC = FLOATS | INTEGERS
STRINGS = frozenset(dtype for dtype in DTYPES if dtype.kind == "string")
ALL = frozenset(DTYPES)

REQUIRED: Any = type("Required", (), {"__repr__": lambda self: "REQUIRED"})()

Partial = np.ndarray[Any, np.dtype[np.object_]]
"""A partially known integer tensor: an object array whose elements are ints, SymDims or None."""


class Arity(Enum):
    ONE = "one"
    OPTIONAL = "optional"
    VARIADIC = "variadic"


class Tier(Enum):
    """Who can run an operator. DEVICE: any backend should; HOST: the runtime itself; COMPOSITE: by its parts."""

    DEVICE = "device"
    HOST = "host"
    COMPOSITE = "composite"


class Trait(Enum):
    """Facts that passes rely on."""

    ELEMENTWISE = "each element of the result depends on the operands' elements at its place, after broadcasting"
    COMMUTATIVE = "the first two operands may change places"
    MOVEMENT = "results are operand elements, only moved or repeated"
    REDUCTION = "axes are folded away"
    RANDOM = "the result differs from run to run: never folded or merged"
    EFFECT = "runs even if no result is used"


@dataclass(frozen=True, slots=True)
class Operand:
    """An operand: its name, and its element types: a type variable of the definition, a set, or None for any type.

    An operand with `dtype=None` may also be a sequence or an optional. A VARIADIC operand must be the last.
    """

    name: str
    dtype: str | frozenset[DType] | None = "T"
    arity: Arity = Arity.ONE


@dataclass(frozen=True, slots=True)
class Result:
    """A result. `dtype` is a type variable, a DType, `@name` for the DType in that attribute, or None: `infer` says."""

    name: str
    dtype: str | DType | None = "T"
    variadic: bool = False


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute: a plain value of `type`: int, float, str, bool, DType, TensorData, or `(int,)` for a list."""

    name: str
    type: Any
    default: Any = REQUIRED
    choices: tuple[Any, ...] = ()


class RegionView(Protocol):
    """What inference may see of an operation's region."""

    @property
    def argument_types(self) -> tuple[ValueType, ...]: ...

    @property
    def output_types(self) -> tuple[ValueType, ...]: ...


class KnownValues(Protocol):
    """The operands' partially known values, found when asked for: `values[i]` is a `Partial` or None."""

    def __getitem__(self, index: int) -> Partial | None: ...


InferredShape = tuple[Dim | None, ...]


class OpDef:
    """An operator's definition. Subclass it once per operator; see the module's docstring.

    `version` grows when the meaning changes. `regions` counts the operation's regions (-1: any number).
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    tier: ClassVar[Tier] = Tier.COMPOSITE
    operands: ClassVar[tuple[Operand, ...]] = ()
    results: ClassVar[tuple[Result, ...]] = (Result("y"),)
    attributes: ClassVar[tuple[Attribute, ...]] = ()
    dtypes: ClassVar[Mapping[str, frozenset[DType]]] = {}
    traits: ClassVar[frozenset[Trait]] = frozenset()
    regions: ClassVar[int] = 0
    accepts_unranked: ClassVar[bool] = False

    # --- what an operator's author writes -------------------------------------------------------------------------

    def infer(self, *args: Any, **attributes: Any) -> Any:
        """`infer(types, values, **attributes)`: result types from operand types.

        Gives a shape (or whole type) for one result, a list of them for several.

        `types` holds a type for each operand, None for an absent one. A None dimension becomes a fresh symbol; a None
        shape means unknown rank. Operators with regions get them as the keyword `regions`. Raises MMError with a
        reason for combinations that the operator does not allow.
        """
        raise UnsupportedOpError(f"the definition of {self.name} has no infer", remedy="write it: types come from it")

    def known(self, *args: Any, **attributes: Any) -> Any:
        """`known(types, values, **attributes)`: what is known of the results: a Partial or None, a list for several."""
        return None

    def reference(self, *args: Any, **attributes: Any) -> Any:
        """The operator in numpy: an array, or a tuple for several results. Absent operands are None.

        Sequences are lists, absent optionals None. Operators with regions get them as the keyword `regions`:
        callables from arguments to the tuple of outputs, which are RegionViews too.
        """
        raise UnsupportedOpError(f"{self.name} has no numpy reference")

    def decompose(self, *args: Any, **attributes: Any) -> Any:
        """`decompose(graph, *operands, **attributes)`: builds simpler operators with `graph`, returns their value(s).

        Absent trailing operands come as None; regions, if any, as the keyword `regions`. Returns None where this
        combination has no decomposition.
        """
        return None

    # --- what the engine uses -------------------------------------------------------------------------------------

    @property
    def has_reference(self) -> bool:
        return type(self).reference is not OpDef.reference

    @property
    def has_decomposition(self) -> bool:
        return type(self).decompose is not OpDef.decompose

    def normalize_attributes(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Attributes in schema order with defaults filled in. UnsupportedOpError for unknown or ill-typed ones."""
        declared = {attribute.name: attribute for attribute in self.attributes}
        for name in given:
            if name not in declared:
                raise UnsupportedOpError(
                    f"{self.name} has no attribute '{name}'", available=", ".join(declared) or "no attributes"
                )
        normal = {}
        for name, attribute in declared.items():
            value = given.get(name, attribute.default)
            if value is REQUIRED:
                raise UnsupportedOpError(f"{self.name} needs the attribute '{name}'")
            if value is not None or attribute.default is not None:
                value = _coerce(self.name, attribute, value)
            normal[name] = value
        return normal

    def operand_schema(self, index: int) -> Operand:
        """The schema of the operand at a position, variadic ones counted through."""
        return self.operands[min(index, len(self.operands) - 1)]

    def bind_dtypes(self, types: Sequence[ValueType | None]) -> dict[str, DType]:
        """Check number and element types of operands; the DType of each type variable. Raises UnsupportedOpError."""
        variadic = bool(self.operands) and self.operands[-1].arity is Arity.VARIADIC
        least = sum(operand.arity is Arity.ONE for operand in self.operands)
        if (len(types) > len(self.operands) and not variadic) or len(types) < least:
            wanted = ", ".join(
                operand.name + {"one": "", "optional": "?", "variadic": "..."}[operand.arity.value]
                for operand in self.operands
            )
            raise UnsupportedOpError(f"{self.name} takes ({wanted}), got {len(types)} operands")
        bound: dict[str, DType] = {}
        for index, type_ in enumerate(types):
            schema = self.operand_schema(index)
            if type_ is None:
                if schema.arity is Arity.ONE:
                    raise UnsupportedOpError(f"{self.name} needs the operand '{schema.name}'")
                continue
            if schema.dtype is None:
                continue
            if not isinstance(type_, TensorType):
                raise UnsupportedOpError(f"{self.name}: operand '{schema.name}' must be a tensor, not {type_}")
            variable = schema.dtype
            allowed = self.dtypes[variable] if isinstance(variable, str) else variable
            if type_.dtype not in allowed:
                names = ", ".join(dtype.name for dtype in DTYPES if dtype in allowed)
                raise UnsupportedOpError(
                    f"{self.name}: operand '{schema.name}' has element type {type_.dtype.name}", available=names
                )
            if isinstance(variable, str) and bound.setdefault(variable, type_.dtype) is not type_.dtype:
                raise UnsupportedOpError(
                    f"{self.name}: operand '{schema.name}' is {type_.dtype.name}, others are {bound[variable].name}",
                    remedy="cast one of them",
                )
        return bound

    def infer_types(
        self,
        types: Sequence[ValueType | None],
        values: KnownValues,
        attributes: Mapping[str, Any],
        regions: Sequence[RegionView] = (),
    ) -> list[Any]:
        """Checked inference: types of all results, in which a None dimension still stands for a fresh symbol."""
        bound = self.bind_dtypes(types)
        if self.regions != len(regions) and self.regions >= 0:
            raise UnsupportedOpError(f"{self.name} has {self.regions} regions, got {len(regions)}")
        fixed = len(self.operands) - bool(self.operands and self.operands[-1].arity is Arity.VARIADIC)
        padded = tuple(types) + (None,) * (fixed - len(types))
        unranked = any(isinstance(t, TensorType) and t.shape is None for t in types)
        inferred: Any
        if unranked and not self.accepts_unranked:
            inferred = [None] * len(self.results)
        else:
            extra = {"regions": regions} if self.regions else {}
            inferred = self.infer(padded, values, **attributes, **extra)
            if not isinstance(inferred, list):
                inferred = [inferred]
        return [
            self._result_type(index, item, bound, attributes) if not isinstance(item, _VALUE_TYPES) else item
            for index, item in enumerate(inferred)
        ]

    def _result_type(
        self, index: int, shape: InferredShape | None, bound: Mapping[str, DType], attributes: Mapping[str, Any]
    ) -> TensorType:
        dtype = self.results[min(index, len(self.results) - 1)].dtype
        if isinstance(dtype, str):
            dtype = attributes[dtype[1:]] if dtype.startswith("@") else bound.get(dtype)
        if not isinstance(dtype, DType):
            raise VerifyError(f"{self.name}: infer must state the element type of result {index}")
        if shape is not None and any(isinstance(dim, int) and dim < 0 for dim in shape):
            raise VerifyError(f"{self.name}: a result would have the shape {list(map(str, shape))}")
        return TensorType(dtype, cast(Shape | None, shape))  # None dimensions are the graph's to fill


_VALUE_TYPES = get_args(ValueType)


def _coerce(op: str, attribute: Attribute, value: Any) -> Any:
    wanted = attribute.type
    try:
        if wanted is DType:
            value = as_dtype(value)
        elif wanted is TensorData:
            value = value if isinstance(value, TensorData) else TensorData.of(value)
        elif isinstance(wanted, tuple):
            value = tuple(_scalar(wanted[0], item) for item in value)
        elif wanted is not object:
            value = _scalar(wanted, value)
    except (TypeError, ValueError, MMError):
        raise UnsupportedOpError(
            f"{op}: attribute '{attribute.name}' is {value!r}, wanted {_describe(wanted)}"
        ) from None
    if attribute.choices and value not in attribute.choices:
        raise UnsupportedOpError(
            f"{op}: attribute '{attribute.name}' is {value!r}", available=", ".join(map(repr, attribute.choices))
        )
    return value


def _scalar(wanted: type, value: Any) -> Any:
    if wanted is bool:
        if value in (0, 1):
            return bool(value)
    elif wanted is int:
        if hasattr(value, "__index__"):
            return int(value.__index__())
    elif wanted is float:
        if not isinstance(value, (str, bytes)):
            return float(value)
    elif isinstance(value, wanted):
        return value
    raise TypeError


def _describe(wanted: Any) -> str:
    return f"a list of {wanted[0].__name__}" if isinstance(wanted, tuple) else wanted.__name__
