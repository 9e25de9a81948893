"""What values are: element types, dimensions, tensor types and specs, handles to constant data, and random streams."""

from mm_core.types.data import Array, TensorData
from mm_core.types.dims import (
    Dim,
    SymDim,
    as_dim,
    ceildiv,
    dim_max,
    dim_min,
    evaluate,
    evaluate_int,
    floordiv,
    is_non_negative,
    mod,
    parse_dim,
    provably_unequal,
    symbol,
    symbols,
)
from mm_core.types.dtypes import BY_NAME, BY_TEXT, DTYPES, DType, as_dtype
from mm_core.types.guards import (
    GUARD_KINDS,
    Guard,
    agree,
    broadcast_dims,
    broadcast_shapes,
    collect_guards,
    repeat_dim,
)
from mm_core.types.streams import normal_stream, seed_word, uniform_stream
from mm_core.types.tensor import (
    OptionalType,
    SequenceType,
    Shape,
    TensorSpec,
    TensorType,
    ValueType,
    as_shape,
    map_tensors,
    substitute,
)
from mm_core.types.text import parse_type

__all__ = [
    "BY_NAME", "BY_TEXT", "DTYPES", "GUARD_KINDS", "Array", "DType", "Dim", "Guard", "OptionalType", "SequenceType",
    "Shape", "SymDim", "TensorData", "TensorSpec", "TensorType", "ValueType", "agree", "as_dim", "as_dtype",
    "as_shape", "broadcast_dims", "broadcast_shapes", "ceildiv", "collect_guards", "dim_max", "dim_min", "evaluate",
    "evaluate_int", "floordiv", "is_non_negative", "map_tensors", "mod", "normal_stream", "parse_dim", "parse_type",
    "provably_unequal", "repeat_dim", "seed_word", "substitute", "symbol", "symbols", "uniform_stream",
]  # fmt: skip
