"""Every model of the zoo through mm, from ONNX file to answers, against ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import zoo
from tests.zoo import catalog, handmade
from tests.zoo.comparison import assert_same, context, reference

EXPORTS = {
    "dynamo-20": {},
    "dynamo-23": {"opset": 23},  # attention as one operator
    "dynamo-18": {"opset": 18, "attention": "eager"},  # GELU spelt out
    "script-17": {"exporter": "script"},
    "script-14": {"exporter": "script", "opset": 14},  # layer norm spelt out
    "script-11": {"exporter": "script", "opset": 11, "attention": "eager"},
    "unfolded": {"exporter": "script", "optimize": False},  # batch norms and constants left as they are
}


def exports() -> list:
    """All pairs of model and export that the exporters can make."""
    return [
        pytest.param(name, options, id=f"{name}-{label}")
        for name, entry in catalog.CATALOG.items()
        for label, options in EXPORTS.items()
        if options.get("exporter", "dynamo") in entry.exporters
    ]


@pytest.mark.parametrize(("name", "options"), exports())
def test_small_model(name: str, options: dict, tmp_path: Path) -> None:
    model = zoo.build(name, small=True, **options)
    got = context(model.path, tmp_path).run(model.inputs)
    assert_same(got, reference(model.path, model.inputs))


@pytest.mark.parametrize("exporter", ["dynamo", "script"])
@pytest.mark.parametrize("name", zoo.names())
def test_one_build_serves_every_batch_and_length(name: str, exporter: str, tmp_path: Path) -> None:
    if exporter not in catalog.CATALOG[name].exporters:
        pytest.skip(f"{name} cannot be exported with {exporter}")
    model = zoo.build(name, small=True, dynamic=True, exporter=exporter)
    running = context(model.path, tmp_path)
    for batch, length in ((1, 16), (3, 9), (2, 1)):
        inputs = catalog.inputs(name, batch, small=True, seed=batch)
        if "sequence" in catalog.CATALOG[name].dynamic:
            inputs = {key: value[:, :length] for key, value in inputs.items()}
        assert_same(running.run(inputs), reference(model.path, inputs))


@pytest.mark.parametrize("name", zoo.names())
def test_full_size_model(name: str, tmp_path: Path) -> None:
    model = zoo.build(name)
    got = context(model.path, tmp_path).run(model.inputs)
    assert_same(got, reference(model.path, model.inputs))


@pytest.mark.parametrize("case", handmade.cases(), ids=lambda case: case.name)
def test_handmade_model(case: handmade.Case, tmp_path: Path) -> None:
    source = case.model()
    running = context(source, tmp_path)
    for inputs in case.runs:
        assert_same(running.run(inputs), reference(source.SerializeToString(), inputs))


def test_weights_in_a_file_of_their_own(tmp_path: Path) -> None:
    path = handmade.save_with_external_data(tmp_path)
    inputs = {"x": handmade.ramp(3, 64)}
    assert_same(context(path, tmp_path).run(inputs), reference(path, inputs))
