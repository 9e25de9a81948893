"""Why families of operators are no part of a network; single operators have their reasons beside the importers."""

from __future__ import annotations

import re

_FAMILIES = (
    (r".*(Queue|Barrier|StagingArea|Stack(Push|Pop|Close)|Mutex|Unstage|^Stage).*", "a queue between steps"),
    (r".*(Dataset|Iterator|Reader(?!Variable)|TFRecord).*", "an input pipeline: read the data outside of the model"),
    (r"(Cudnn|Nccl|Collective).*|.*(OnGPU|Tpu|TPU).*", "it exists on accelerators only: export the model on the CPU"),
    (
        r"String.*|.*(Regex|Unicode|DecodeBase64|EncodeBase64|AsString|Substr).*",
        "text: prepare it outside of the model",
    ),
    (r"(Decode|Encode|Parse|Serialize|Deserialize).*", "bytes of files and messages: decode them outside of the model"),
    (r"(Read|Write|Matching|Save|Restore|Merge).*(File|Files|V2|Slice)", "it reads or writes files"),
    (r"Stateful.*|Rng.*|Random.*|.*RandomSeed.*|ResourceRandom.*", "a random stream with state"),
    (r"Resource(Scatter|Apply|Sparse).*|(Sparse)?Apply.*|Assign.*", "the model changes a variable"),
)


def reason_for(op: str) -> str:
    """Why operators like this one cannot be read; empty if nothing is known of them."""
    return next((reason for pattern, reason in _FAMILIES if re.fullmatch(pattern, op)), "")
