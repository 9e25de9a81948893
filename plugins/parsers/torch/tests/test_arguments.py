"""What a forward may take and give: nested containers, numbers, None; state that it keeps; caches of decoders."""

from __future__ import annotations

import copy
from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from running import Function, build, run
from torch import nn

import mm_core as mm
from mm_core.errors import ParseError

Pair = namedtuple("Pair", "left right")
X = torch.arange(8.0).reshape(2, 4)


@dataclass
class Sample:
    image: torch.Tensor
    label: torch.Tensor
    weight: torch.Tensor | None = None


torch.export.register_dataclass(Sample, serialized_type_name="test_arguments.Sample")


def names(network: mm.Network) -> tuple[list[str], list[str]]:
    return [spec.name for spec in network.inputs], [spec.name for spec in network.output_specs]


@pytest.mark.parametrize(
    ("value", "leaves"),
    [
        (Pair(X, X + 1), ["p_left", "p_right"]),
        (Sample(X, X + 1), ["p_image", "p_label"]),
        ({"a": [X], "b-c": (X + 1,)}, ["p_a_0", "p_b_c_0"]),
    ],
    ids=["named tuple", "dataclass", "dict of lists"],
)
def test_containers_are_flat_and_open_sizes_have_names_inside(value: Any, leaves: list[str]) -> None:
    def forward(self: Any, p: Any) -> Any:
        first, second = torch.utils._pytree.tree_leaves(p)
        return type(p)(*(x * 2 for x in (first, second))) if not isinstance(p, dict) else {"s": [first * 2, second * 2]}

    class Takes(nn.Module):
        def forward(self, p: Any) -> Any:
            return forward(self, p)

    network = mm.parse(Takes(), example_inputs=((value,), {}), input_shapes=dict.fromkeys(leaves, ("N", 4)))
    assert names(network)[0] == leaves
    given = {"Pair": ["left", "right"], "Sample": ["image", "label"]}.get(type(value).__name__, ["s.0", "s.1"])
    assert names(network)[1] == given
    assert {str(spec.type) for spec in network.inputs} == {'tensor<?x4xf32, ["N"]>'}
    first, second = run(network, torch.ones(3, 4), torch.ones(3, 4))
    assert (first.tolist(), second.tolist()) == ([[2.0] * 4] * 3,) * 2


def test_classes_that_torch_does_not_know_are_refused_with_its_advice() -> None:
    @dataclass
    class Stranger:
        x: torch.Tensor

    with pytest.raises(ParseError, match=r"Unsupported input type.*register_dataclass"):
        mm.parse(Function(lambda self, p: p.x + 1), example_inputs=(Stranger(X),))


def test_numbers_flags_and_none_are_constants_of_the_program() -> None:
    class Mixed(nn.Module):
        def forward(self, x: Any, mask: Any = None, times: int = 2, on: bool = True, scale: float = 0.5) -> Any:
            y = x * times if on else x
            return y * scale, times, None, "text", x.shape[0]

    network = mm.parse(Mixed(), example_inputs=(X, None, 3, True, 0.25))
    assert names(network) == (["x"], ["output_0"])
    np.testing.assert_array_equal(run(network, X)[0], X * 0.75)
    with_rows = mm.parse(Mixed(), example_inputs=(X, None, 3, True, 0.25), input_shapes={"x": ("N", 4)})
    assert names(with_rows) == (["x"], ["output_0", "output_4"])
    assert run(with_rows, torch.ones(5, 4))[1] == 5


def test_a_number_that_is_left_open_is_an_input() -> None:
    class Repeats(nn.Module):
        def forward(self, x: torch.Tensor, times: int) -> Any:
            return x * times, torch.arange(times)

    shapes = {"x": None, "times": torch.export.Dim.DYNAMIC}
    network = mm.parse(Repeats(), example_inputs=(X, 3), dynamic_shapes=shapes)
    context = build(network).create_engine().create_context()
    product, numbers = context.run({"x": X.numpy(), "times": np.array(5)}).values()
    np.testing.assert_array_equal(product, X * 5)
    assert numbers.tolist() == [0, 1, 2, 3, 4]


def test_any_number_of_arguments_and_keywords() -> None:
    class Any_(nn.Module):
        def forward(self, *values: torch.Tensor, **others: torch.Tensor) -> torch.Tensor:
            return values[0] + values[1] - others["bias"]

    network = mm.parse(Any_(), example_inputs=((X, X), {"bias": X}))
    assert names(network)[0] == ["values_0", "values_1", "bias"]
    np.testing.assert_array_equal(run(network, X, X, X)[0], X)


def test_inputs_that_are_results_too_and_inputs_that_nobody_reads() -> None:
    network = mm.parse(Function(lambda self, x, y: (x, x, x.t())), example_inputs=(X, X + 1))
    assert names(network) == (["x", "others_0"], ["output_0", "output_1", "output_2"])
    assert [result.shape for result in run(network, X, X)] == [(2, 4), (2, 4), (4, 2)]


# --- state ------------------------------------------------------------------------------------------------------------


def test_a_changed_input_is_a_further_output_of_its_name() -> None:
    class Adds(nn.Module):
        def forward(self, total: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            total.add_(x)
            return x * 2

    network = mm.parse(Adds(), example_inputs=(X.clone(), X))
    assert names(network) == (["total", "x"], ["output", "total"])
    np.testing.assert_array_equal(run(network, X, X)[1], X * 2)


def test_a_program_in_training_gives_its_new_statistics() -> None:
    torch.manual_seed(0)
    module, images = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU()).train(), torch.randn(4, 3, 8, 8)
    network = mm.parse(torch.export.export(module, (images,)))
    state = ["1.running_mean", "1.running_var", "1.num_batches_tracked"]
    assert names(network) == (["input", *state], ["output", *state])
    before = {name: value.numpy().copy() for name, value in module.state_dict().items() if name in state}
    found = build(network).create_engine().create_context().run({"input": images.numpy(), **before})
    other = copy.deepcopy(module)
    np.testing.assert_allclose(found["output"], other(images).detach(), rtol=1e-4, atol=1e-5)
    for name in state:
        np.testing.assert_allclose(found[name], other.state_dict()[name], rtol=1e-5)


def test_a_cache_in_a_buffer_goes_in_and_comes_out() -> None:
    class Cached(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("keys", torch.zeros(6, 4), persistent=False)

        def forward(self, x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
            self.keys.index_copy_(0, place, x)
            return self.keys.sum(0)

    network = mm.parse(Cached(), example_inputs=(X, torch.tensor([0, 1])))
    assert names(network) == (["x", "place", "keys"], ["output", "keys"])
    total, keys = run(network, X, torch.tensor([4, 2]), torch.ones(6, 4))
    wanted = torch.ones(6, 4).index_copy_(0, torch.tensor([4, 2]), X)
    np.testing.assert_array_equal(keys, wanted)
    np.testing.assert_array_equal(total, wanted.sum(0))


@pytest.fixture(scope="module")
def decoder() -> Any:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, vocab_size=50)).eval()
    model.generation_config = transformers.GenerationConfig(
        use_cache=True,
        cache_implementation="static",
        max_length=8,
        cache_config={"batch_size": 1, "max_cache_len": 8, "device": "cpu"},
    )
    return model


def test_a_growing_cache_is_nested_inputs_and_outputs(decoder: Any) -> None:
    """Exported for 5 known tokens and 3 new ones of 2 texts, run for 4 and 1 of 3."""

    def known(batch: int, length: int) -> Any:
        with torch.no_grad():
            return decoder(torch.arange(batch * length).reshape(batch, length)).past_key_values

    cache = ("B", 2, "L", 8)
    shapes = {f"past_key_values_{part}_cache_{layer}": cache for part in ("key", "value") for layer in (0, 1)}
    example = {"input_ids": torch.ones(2, 3, dtype=torch.int64), "past_key_values": known(2, 5)}
    network = mm.parse(decoder, example_inputs=example, input_shapes={"input_ids": ("B", "S"), **shapes})
    assert str(network.output_specs[1].type) == 'tensor<?x2x?x8xf32, ["B", "L + S"]>'
    ids, past = torch.tensor([[7], [8], [9]]), known(3, 4)
    states = [getattr(layer, part).clone() for part in ("keys", "values") for layer in past.layers]
    with torch.no_grad():
        wanted = decoder(ids, past_key_values=past)
    found = run(network, ids, states)
    np.testing.assert_allclose(found[0], wanted.logits, rtol=1e-4, atol=1e-5)
    later = [getattr(layer, part) for part in ("keys", "values") for layer in wanted.past_key_values.layers]
    for mine, theirs in zip(found[1:], later, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_a_static_cache_is_state_that_goes_in_and_comes_out(decoder: Any) -> None:
    from transformers.integrations.executorch import convert_and_export_with_cache

    network = mm.parse(convert_and_export_with_cache(decoder))
    context = build(network).create_engine(threads=1).create_context()
    state = {spec.name: np.zeros(spec.shape, spec.dtype.numpy) for spec in network.inputs[2:]}
    assert sorted(state)[-2:] == ["value_cache_0", "value_cache_1"]
    words = [3, 11, 4, 7]
    for place, word in enumerate(words):
        new = {"input_ids": np.array([[word]]), "cache_position": np.array([place])}
        results = context.run(new | state)
        state = {name: results[name] for name in state}
    with torch.no_grad():
        wanted = decoder(torch.tensor([words])).logits[:, -1:]
    np.testing.assert_allclose(results["output"], wanted, rtol=1e-4, atol=1e-5)
