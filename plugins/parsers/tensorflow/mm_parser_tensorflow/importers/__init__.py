"""Importers of TensorFlow's operators, a module for each family. `TABLE` is all of them."""

from mm_parser_tensorflow.importers import (
    activation,
    contraction,
    control,
    convolution,
    einsum,
    elementwise,
    image,
    indexing,
    lists,
    matrix,
    movement,
    normalization,
    pooling,
    quantization,
    ragged,
    reduction,
    segment,
    shape,
    slicing,
    source,
    spectral,
    stateless,
    table,
)
from mm_parser_tensorflow.table import Table

TABLE = Table(
    module.FAMILY
    for module in (
        activation, contraction, control, convolution, einsum, elementwise, image, indexing, lists, matrix, movement,
        normalization, pooling, quantization, ragged, reduction, segment, shape, slicing, source, spectral, stateless,
        table,
    )
)  # fmt: skip
REFUSED = source.REFUSED

__all__ = ["REFUSED", "TABLE"]
