"""Importers of ONNX Runtime's own operators (domain com.microsoft), which its exporters and optimizers emit.

Each is built from operators of the standard dialect, so that every backend runs it.
"""

from mm_parser_onnx.importers.microsoft import (
    activation,
    attention,
    blocks,
    contraction,
    generation,
    grouped,
    normalization,
    packed,
    qlinear,
    quantized,
    recurrent,
    refused,
    rotary,
    tensors,
    text,
    vision,
)

FAMILIES = (
    normalization.STANDARD_FAMILY,
    *(
        module.FAMILY
        for module in (
            activation, attention, blocks, contraction, generation, grouped, normalization, packed, qlinear, quantized,
            recurrent, refused, rotary, tensors, text, vision,
        )
    ),
    refused.BLOCKED_FAMILY,
)  # fmt: skip
