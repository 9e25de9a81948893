"""The zoo itself: exports agree with the torch modules they come from, and hand-made models run."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests import zoo
from tests.zoo import catalog, handmade


@pytest.mark.parametrize("exporter", ["dynamo", "script"])
@pytest.mark.parametrize("name", zoo.names())
def test_small_export_agrees_with_torch(name: str, exporter: str) -> None:
    if exporter not in catalog.CATALOG[name].exporters:
        with pytest.raises(ValueError, match="exports with"):
            zoo.build(name, small=True, exporter=exporter)
        return
    model = zoo.build(name, small=True, exporter=exporter)
    got = onnxruntime.InferenceSession(model.path).run(None, model.inputs)
    arguments = {key: torch.from_numpy(value) for key, value in model.inputs.items()}
    with torch.no_grad():
        expected = catalog.module(name, small=True)(**arguments, return_dict=False)
    assert len(got) == len(expected)
    for left, right in zip(got, expected, strict=True):
        reference = right.numpy()
        assert 0.1 < reference.std() < 10, "activations vanish or explode: the comparison would prove nothing"
        np.testing.assert_allclose(left, reference, atol=5e-5 * np.abs(reference).max(), rtol=0)


@pytest.mark.parametrize("name", zoo.names())
def test_dynamic_export_runs_at_other_batch(name: str) -> None:
    model = zoo.build(name, small=True, dynamic=True)
    session = onnxruntime.InferenceSession(model.path)
    three = zoo.build(name, batch=3, small=True, dynamic=True)
    assert three.path == model.path
    whole = session.run(None, three.inputs)[0]
    last = session.run(None, {key: value[2:] for key, value in three.inputs.items()})[0]
    np.testing.assert_allclose(whole[2:], last, atol=1e-4 * np.abs(last).max(), rtol=0)


def test_unknown_model_is_named() -> None:
    with pytest.raises(ValueError, match="no model 'lenet' in the zoo; there are resnet50"):
        zoo.build("lenet")


@pytest.mark.parametrize("case", handmade.cases(), ids=lambda case: case.name)
def test_handmade_model_runs(case: handmade.Case) -> None:
    session = onnxruntime.InferenceSession(case.model().SerializeToString())
    for inputs in case.runs:
        assert all(output is not None for output in session.run(None, inputs))


@pytest.mark.parametrize(
    ("name", "millions", "gmac"),
    [("resnet50", 25.557, 4.089), ("mobilenet_v2", 3.505, 0.301), ("vit_b16", 86.568, 16.85)],
)
def test_full_sizes_are_the_published_ones(name: str, millions: float, gmac: float) -> None:
    module = catalog.module(name)
    assert sum(parameter.numel() for parameter in module.parameters()) / 1e6 == pytest.approx(millions, abs=0.001)
    images = torch.from_numpy(catalog.inputs(name)["pixel_values"])
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(images)
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmac, rel=0.01)
