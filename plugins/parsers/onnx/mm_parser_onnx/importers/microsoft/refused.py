"""Operators that ONNX Runtime defines and this parser does not offer: each with its reason."""

from __future__ import annotations

from typing import Any

from mm_core.ir import Graph
from mm_parser_onnx.node import Node
from mm_parser_onnx.table import MICROSOFT, Family, Importer

FAMILY = Family(MICROSOFT)

_SEARCH = ("it is a whole search around a decoder", "export the decoder alone and search with its logits")
_CUDA = ("its weights are laid out for one kind of device", "export for the CPU, or quantize with MatMulNBits")
_SPARSE = ("sparse tensors have no form here", "export with dense tensors")
_TEXT = ("it computes with strings", "run it before the model")
_EXPERTS = ("mixtures of experts are not offered", "export the experts as standard operators")
_REFUSED: tuple[tuple[tuple[str, ...], tuple[str, str]], ...] = (
    (("BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch", "BifurcationDetector"), _SEARCH),
    (("QOrderedAttention", "QOrderedGelu", "QOrderedLayerNormalization", "QOrderedLongformerAttention",
      "QOrderedMatMul", "QuantizeWithOrder", "DequantizeWithOrder", "GemmFloat8"), _CUDA),
    (("SparseToDenseMatMul",), _SPARSE),
    (("Tokenizer", "WordConvEmbedding", "MurmurHash3"), _TEXT),
    (("MoE", "QMoE", "MoEPacked"), _EXPERTS),
    (("EPContext", "Snpe"), ("it holds a program compiled for another runtime", "export the model before compilation")),
    (("AttnLSTM",), ("LSTM with attention inside is not offered", "export it as LSTM and attention")),
)  # fmt: skip


def _refusal(reason: str, remedy: str) -> Importer:
    def refuse(g: Graph, node: Node) -> Any:
        raise node.unsupported(reason, remedy)

    return refuse


for _names, (_reason, _remedy) in _REFUSED:
    FAMILY.op(*_names)(_refusal(_reason, _remedy))
