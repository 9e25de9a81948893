"""Importers of ATen operators, a module for each family. `TABLE` is all of them."""

from mm_parser_torch.importers import (
    activation,
    assembly,
    attention,
    complexes,
    contraction,
    control,
    convolution,
    elementwise,
    embedding_bag,
    indexing,
    movement,
    normalization,
    numbers,
    pooling,
    quantization,
    random,
    recurrent,
    reduction,
    sampling,
    selecting,
)
from mm_parser_torch.table import Table

TABLE = Table(
    module.FAMILY
    for module in (
        activation, assembly, attention, complexes, contraction, convolution, elementwise, embedding_bag, indexing,
        movement, normalization, numbers, pooling, quantization, random, recurrent, reduction, sampling,
        selecting,
    )
)  # fmt: skip
NUMBERS = numbers.FUNCTIONS
COMPLEX = complexes.COMPLEX
HIGHER_ORDER = control.HIGHER_ORDER

__all__ = ["COMPLEX", "HIGHER_ORDER", "NUMBERS", "TABLE"]
