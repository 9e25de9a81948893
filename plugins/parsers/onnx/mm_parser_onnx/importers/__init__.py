"""Importers of ONNX operators, a module for each family, and of other domains. `TABLE` is all of them."""

from mm_parser_onnx.importers import (
    activation,
    attention,
    contraction,
    control,
    convolution,
    elementwise,
    image,
    indexing,
    microsoft,
    ml,
    normalization,
    quantization,
    random,
    recurrent,
    reduction,
    resize,
    sampling,
    sequence,
    shape,
    signal,
    slicing,
    source,
    text,
    training,
)
from mm_parser_onnx.table import Table

_STANDARD = (
    activation, attention, contraction, control, convolution, elementwise, image, indexing, normalization,
    quantization, random, recurrent, reduction, resize, sampling, sequence, shape, signal, slicing, source, text,
    training,
)  # fmt: skip

TABLE = Table((*(module.FAMILY for module in _STANDARD), *microsoft.FAMILIES, *ml.FAMILIES))
