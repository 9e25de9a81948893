"""Types of values: tensors, sequences and optionals, and the named tensors at a network's border."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from mm_core.types.dims import Dim, SymDim, as_dim, evaluate
from mm_core.types.dtypes import DType

Shape = tuple[Dim, ...]


@dataclass(frozen=True, slots=True)
class TensorType:
    """A dense tensor: element type and shape. A shape of None means that even the rank is unknown."""

    dtype: DType
    shape: Shape | None

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)

    @property
    def is_static(self) -> bool:
        """Whether every dimension is a known integer."""
        return self.shape is not None and all(type(dim) is int for dim in self.shape)

    def with_shape(self, shape: Iterable[Dim]) -> TensorType:
        return TensorType(self.dtype, tuple(shape))

    def with_dtype(self, dtype: DType) -> TensorType:
        return TensorType(dtype, self.shape)

    def element_count(self) -> Dim | None:
        """Number of elements, symbolic where dimensions are; None for an unknown rank."""
        if self.shape is None:
            return None
        count: Dim = 1
        for dim in self.shape:
            count = count * dim
        return count

    def __str__(self) -> str:
        if self.shape is None:
            return f"tensor<*x{self.dtype.text}>"
        symbols = [f'"{dim}"' for dim in self.shape if isinstance(dim, SymDim)]
        dims = "".join(f"{'?' if isinstance(dim, SymDim) else dim}x" for dim in self.shape)
        names = f", [{', '.join(symbols)}]" if symbols else ""
        return f"tensor<{dims}{self.dtype.text}{names}>"


@dataclass(frozen=True, slots=True)
class SequenceType:
    """A list of values of one type, of a length known only while running."""

    element: ValueType

    def __str__(self) -> str:
        return f"!mm.sequence<{self.element}>"


@dataclass(frozen=True, slots=True)
class OptionalType:
    """A value that may be absent."""

    element: ValueType

    def __str__(self) -> str:
        return f"!mm.optional<{self.element}>"


ValueType = TensorType | SequenceType | OptionalType


def map_tensors(type_: ValueType, function: Callable[[TensorType], TensorType]) -> ValueType:
    """The type with `function` applied to the tensor type inside, through sequences and optionals."""
    if isinstance(type_, TensorType):
        return function(type_)
    return type(type_)(map_tensors(type_.element, function))


def substitute(type_: ValueType, bindings: Mapping[str, Dim]) -> ValueType:
    """The type with symbols replaced by the dimensions that `bindings` gives them."""

    def replace(tensor: TensorType) -> TensorType:
        if tensor.shape is None or tensor.is_static:
            return tensor
        return tensor.with_shape(evaluate(dim, bindings) for dim in tensor.shape)

    return map_tensors(type_, replace)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A named input or output of a network or model. `shape` is None only where the rank is unknown."""

    name: str
    dtype: DType
    shape: Shape | None
    type: ValueType = field(repr=False)

    @classmethod
    def of(cls, name: str, type_: ValueType) -> TensorSpec:
        inner = type_
        while not isinstance(inner, TensorType):
            inner = inner.element
        return cls(name, inner.dtype, inner.shape, type_)


def as_shape(shape: Iterable[object]) -> Shape:
    """A shape from integers, symbol names, dimension expressions as text, and SymDims."""
    return tuple(as_dim(dim) for dim in shape)
