"""Operators that ONNX Runtime defines and this parser does not offer: each with its reason and a way round it."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import MICROSOFT, Family, Importer

FAMILY = Family(MICROSOFT)
BLOCKED_FAMILY = Family("com.microsoft.nchwc")

_REFUSED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "it is a whole search around a decoder", "export the decoder alone and search with its logits",
        ("BeamSearch", "BifurcationDetector", "GreedySearch", "SampleOp", "Sampling", "SpeculativePrefixCommit",
         "WhisperBeamSearch"),
    ),
    (
        "its numbers are laid out for one kind of device", "export for the CPU, or quantize with MatMulNBits",
        ("BitmaskBiasDropout", "DequantizeBFP", "DequantizeWithOrder", "GatherPacked", "GemmFloat8",
         "MatMulBlockQuantizedFp4Weight", "MatMulBlockQuantizedFp8Weight", "MatMulFpQ4", "MatMulNBitsMlp",
         "MatMulNBitsQLoRA", "MatMulNBitsQkv", "MatMulPacked", "QOrderedAttention", "QOrderedGelu",
         "QOrderedLayerNormalization", "QOrderedLongformerAttention", "QOrderedMatMul", "QuantizeBFP",
         "QuantizeWithOrder", "RMSNormRotary", "RouterGateUpProj"),
    ),
    (
        "attention that chooses its keys by data or by pages is not offered", "export with GroupQueryAttention",
        ("DecoderAttention", "DecoderMaskedSelfAttention", "DynamicSparseAttention", "LongformerAttention",
         "PackedSparseAttentionIndexer", "PackedSparseAttentionIndexerMerge", "PagedAttention", "SparseAttention",
         "SparseAttentionIndexer", "SparsePagedAttention"),
    ),
    (
        "recurrences over states of linear attention are not offered", "export them as standard operators",
        ("CausalConvWithState", "ConvStateReplay", "GatedDeltaNet", "GatedDeltaNetStateReplay", "LinearAttention",
         "Mamba2Verify", "VarlenCausalConvWithState"),
    ),
    (
        "hyper-connections and n-gram memories are not offered", "export them as standard operators",
        ("EngramGate", "HyperConnectionLowRankMix", "HyperConnectionPostMix", "HyperConnectionPreMix",
         "NGramHashMapping", "VarlenNGramHashMapping"),
    ),
    (
        "mixtures of experts are not offered", "export the experts as standard operators",
        ("MoE", "MoEGroupRouter", "MoEPacked", "QMoE"),
    ),
    (
        "it computes with strings or hashes", "compute its result before the model",
        ("MurmurHash3", "WordConvEmbedding"),
    ),
    ("it holds a program compiled for another runtime", "take the model before compilation", ("EPContext", "Snpe")),
    ("sparse tensors have no form here", "export with dense tensors", ("SparseToDenseMatMul",)),
    (
        "this fusion is not offered", "export the operators that it stands for",
        ("AttnLSTM", "DynamicTimeWarping", "GemmaRotaryEmbedding", "MaxpoolWithMask"),
    ),
)  # fmt: skip
"""Reason, remedy, operators."""


def _refusal(reason: str, remedy: str) -> Importer:
    def refuse(g: Graph, node: Node) -> Any:
        raise node.unsupported(reason, remedy)

    return refuse


for _reason, _remedy, _names in _REFUSED:
    FAMILY.op(*_names)(_refusal(_reason, _remedy))
BLOCKED_FAMILY.op(
    "AveragePool", "Conv", "GlobalAveragePool", "GlobalMaxPool", "MaxPool", "ReorderInput", "ReorderOutput", "Upsample"
)(
    _refusal(
        "a session has optimized this model for one machine's layout of images",
        "save it at the level ORT_ENABLE_EXTENDED, or take the model before optimization",
    )
)
