"""The default passes on exported models: what they must find there, and that results stay what they were."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

import mm_core as mm
from mm_core.passes import default_pipeline
from mm_core.testing.passcheck import passcheck
from tests.zoo import catalog

TRANSFORMER = {"attention": 2, "layer_norm": 5, "gelu": 2}
CASES: list[tuple[str, dict[str, Any], dict[str, int]]] = [
    ("bert_base", {}, TRANSFORMER),
    ("bert_base", {"dynamic": True}, TRANSFORMER),
    ("bert_base", {"exporter": "script", "opset": 11, "attention": "eager", "dynamic": True}, TRANSFORMER),
    ("minilm_l6", {"exporter": "script"}, TRANSFORMER),
    ("vit_b16", {"dynamic": True}, TRANSFORMER),
    ("vit_b16", {"exporter": "script", "opset": 11, "attention": "eager"}, TRANSFORMER),
    ("gpt2", {}, TRANSFORMER),
    ("gpt2", {"attention": "eager", "dynamic": True}, TRANSFORMER),
    ("resnet50", {"exporter": "script", "optimize": False}, {"conv": 20, "batch_norm": 0, "fused:conv": 16}),
    ("mobilenet_v2", {"exporter": "script", "optimize": False}, {"conv": 52, "batch_norm": 0, "fused:conv": 45}),
]


def counts(network: mm.Network) -> Counter[str]:
    found: Counter[str] = Counter()
    for operation in network.walk():
        found[operation.name.removeprefix("mm.")] += 1
        if operation.name == "mm.fused":
            found[f"fused:{operation.attributes['kind']}"] += 1
    return found


@pytest.mark.parametrize(("name", "options", "expected"), CASES, ids=lambda value: str(value).replace(" ", ""))
def test_default_pipeline(name: str, options: dict[str, Any], expected: dict[str, int]) -> None:
    model = catalog.build(name, small=True, **options)
    network = mm.parse(model.path)
    inputs = [model.inputs[argument.name] for argument in network.arguments]
    passcheck(str(default_pipeline()), network, 1e-4, inputs)
    found = counts(network)
    assert {kind: found[kind] for kind in expected} == expected
    assert not found["softmax"]


def test_gpt2_is_causal_without_a_mask() -> None:
    network = mm.parse(catalog.build("gpt2", small=True).path)
    default_pipeline().run(network)
    attention = [operation for operation in network.walk() if operation.name == "mm.attention"]
    assert [(operation.attributes["causal"], len(operation.operands)) for operation in attention] == [(True, 3)] * 2


def test_every_product_of_gpt2_is_fused_with_what_follows() -> None:
    network = mm.parse(catalog.build("gpt2", small=True).path)
    default_pipeline().run(network)
    kinds = [
        [inner.name.removeprefix("mm.") for inner in operation.regions[0].operations]
        for operation in network.operations
        if operation.name == "mm.fused" and operation.attributes["kind"] == "matmul"
    ]
    layer = [["matmul", "add"], ["matmul", "add", "add"], ["matmul", "add", "gelu"], ["matmul", "add", "add"]]
    assert kinds == layer * 2
