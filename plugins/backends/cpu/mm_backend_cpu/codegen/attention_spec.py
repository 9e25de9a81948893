"""What an attention kernel computes and where its tensors lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mm_core.types import Dim

from .kernel_source import Parameters
from .operations import C_TYPES


@dataclass(frozen=True)
class Heads:
    """Where a tensor of heads lies: the number of the kernel's input, an offset and strides in elements.

    Elements of one head's row are adjacent. Packed QKV of [batch, row, 3, heads, size] is three of these on one input.
    """

    input: int
    offset: Dim
    batch: Dim
    head: Dim
    row: Dim


@dataclass(frozen=True)
class Mask:
    """float32 is added to the scores; booleans keep the scores where true. Strides are 0 where it is repeated."""

    input: int
    dtype: Literal["f32", "i1"]
    batch: Dim
    head: Dim
    query: Dim
    key: Dim


@dataclass(frozen=True)
class AttentionSpec:
    """softmax(scale * Q K^T + mask) V. `output` is relative to the output tensor, its `input` is ignored.

    Consecutive heads share keys and values where `key_heads` is smaller than `heads`. With `causal_offset`, query i
    sees keys up to i + causal_offset.
    """

    batch: Dim
    heads: int
    key_heads: int
    queries: Dim
    keys: Dim
    size: int
    value_size: int
    scale: float
    query: Heads
    key: Heads
    value: Heads
    output: Heads
    n_inputs: int
    mask: Mask | None = None
    causal_offset: Dim | None = None


class Addresses:
    """C of where one head's data begins; `batch` and the head's number are variables of the kernel."""

    def __init__(self, spec: AttentionSpec, parameters: Parameters) -> None:
        self.spec, self.c = spec, parameters.c

    def offset(self, heads: Heads, head: str) -> str:
        """Elements before the rows of a head."""
        return f"{self.c(heads.offset)} + batch * {self.c(heads.batch)} + {head} * {self.c(heads.head)}"

    def pointer(self, name: str, heads: Heads, head: str) -> str:
        """A pointer to the first row of a head of an input."""
        return f"const float* {name} = (const float*)call->data[{heads.input}] + {self.offset(heads, head)};"

    def task(self, number: str) -> str:
        """`head`, `key_head` and `batch` of a running number of heads."""
        spec = self.spec
        return (
            f"const int64_t head = {number} % {spec.heads}, batch = {number} / {spec.heads}, "
            f"key_head = head / {spec.heads // spec.key_heads};"
        )

    def mask(self, first_query: str) -> str:
        """`mask` of the head from a query on, if there is one."""
        mask, c = self.spec.mask, self.c
        if mask is None:
            return ""
        c_type = C_TYPES[mask.dtype]
        return (
            f"const {c_type}* mask = (const {c_type}*)call->data[{mask.input}] + batch * {c(mask.batch)} "
            f"+ head * {c(mask.head)} + {first_query} * {c(mask.query)};"
        )

    def visible_keys(self, queries: str) -> str:
        """How many keys the first `queries` queries see between them: at least one, so that hidden rows become NaN."""
        if self.spec.causal_offset is None:
            return "all_keys"
        last = f"{queries} + {self.c(self.spec.causal_offset)}"
        return f"all_keys < 1 ? 0 : {last} < 1 ? 1 : {last} < all_keys ? {last} : all_keys"
