"""Importers of the standard ONNX operators, a module for each family. `TABLE` is all of them."""

from mm_parser_onnx.importers import (
    activation,
    attention,
    contraction,
    control,
    convolution,
    elementwise,
    image,
    indexing,
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
)
from mm_parser_onnx.table import Table

TABLE = Table(
    module.FAMILY
    for module in (
        activation, attention, contraction, control, convolution, elementwise, image, indexing, normalization,
        quantization, random, recurrent, reduction, resize, sampling, sequence, shape, signal, slicing, source, text,
    )
)  # fmt: skip
