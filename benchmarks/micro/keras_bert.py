"""BERT (Devlin et al., 2018) in Keras: the encoder with its embeddings and pooler, of the sizes of BERT-base."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

VOCABULARY, POSITIONS, EPSILON = 30522, 512, 1e-12


class Embeddings(layers.Layer):  # type: ignore[misc]
    """Words, positions and segments, added and normalised: [N, T] ids -> [N, T, width]."""

    def __init__(self, width: int, **options: Any) -> None:
        super().__init__(**options)
        self.word = layers.Embedding(VOCABULARY, width, name="word")
        self.position = layers.Embedding(POSITIONS, width, name="position")
        self.segment = layers.Embedding(2, width, name="segment")
        self.norm = layers.LayerNormalization(epsilon=EPSILON, name="norm")

    def call(self, ids: Any, segments: Any) -> Any:
        positions = self.position(ops.arange(ops.shape(ids)[1]))
        return self.norm(self.word(ids) + positions + self.segment(segments))


def bert(depth: int = 12, width: int = 768, heads: int = 12) -> Any:
    """The model: inputs `input_ids`, `attention_mask` and `token_type_ids`, [N, T] of int32."""
    ids, mask, segments = (
        keras.Input((None,), dtype="int32", name=name) for name in ("input_ids", "attention_mask", "token_type_ids")
    )
    x = Embeddings(width, name="embeddings")(ids, segments)
    seen = layers.Reshape((1, -1))(mask)
    for index in range(depth):
        name = f"layer_{index}"
        attention = layers.MultiHeadAttention(heads, width // heads, name=f"{name}_attention")
        attended = attention(x, x, attention_mask=seen)
        x = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_attention_norm")(layers.add([x, attended]))
        y = layers.Dense(4 * width, activation="gelu", name=f"{name}_intermediate")(x)
        y = layers.Dense(width, name=f"{name}_output")(y)
        x = layers.LayerNormalization(epsilon=EPSILON, name=f"{name}_output_norm")(layers.add([x, y]))
    pooled = layers.Dense(width, activation="tanh", name="pooler")(x[:, 0])
    return keras.Model([ids, mask, segments], [x, pooled], name="bert")
