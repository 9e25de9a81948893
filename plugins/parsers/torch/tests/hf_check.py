"""A model of the catalog on the CPU backend against eager."""

from __future__ import annotations

import warnings
from collections.abc import Iterable

import mm_parser_torch.tensors as tensors
import torch
import torch.utils._pytree as pytree
from hf_catalog import Entry

import mm_core as mm

LIMIT = 1e-4


def difference(entry: Entry, dynamic: bool) -> float:
    """The largest difference of any result, relative to that result's largest magnitude.

    Dynamic: exported for a batch of two with the batch open, run for three. Where eager in float32 is itself off by
    more than the limit, as for samples taken beside a step, eager in float64 says what is right.
    """
    warnings.simplefilter("ignore")
    module = entry.build()
    example, request = entry.inputs(2), entry.inputs(3 if dynamic else 2)
    shapes = {name: ("batch", *value.shape[1:]) for name, value in example.items()} if dynamic else None
    network = mm.parse(module, example_inputs=example, input_shapes=shapes)
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], opt_level=1)).build(network)
    context = model.create_engine(threads=2).create_context()
    state = {spec.name: found[spec.name] for spec in network.inputs if spec.name in (found := module.state_dict())}
    feed = {name: tensors.array_of(value.clone()) for name, value in (state | request).items()}
    results = [torch.from_numpy(result) for result in context.run(feed).values()]
    leaves = _run(module, request)
    assert any(leaf.is_floating_point() and leaf.abs().max() > 1e-3 for leaf in leaves), "nothing to compare"
    assert len(leaves) == len(results) - len(state), f"{len(results)} results for {len(leaves)}"
    found = _farthest(results, leaves)
    if found < LIMIT:
        return found
    exact = _run(module.double(), {name: _double(value) for name, value in request.items()})
    return _farthest(results, exact) if _farthest(leaves, exact) > LIMIT else found


def _run(module: torch.nn.Module, request: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    with torch.no_grad():
        return [leaf for leaf in pytree.tree_leaves(module(**request)) if isinstance(leaf, torch.Tensor)]


def _double(value: torch.Tensor) -> torch.Tensor:
    return value.double() if value.is_floating_point() else value


def _farthest(mine: Iterable[torch.Tensor], theirs: Iterable[torch.Tensor]) -> float:
    return max(_relative(ours, wanted) for ours, wanted in zip(mine, theirs))


def _relative(mine: torch.Tensor, theirs: torch.Tensor) -> float:
    assert mine.shape == theirs.shape, f"{tuple(mine.shape)} for {tuple(theirs.shape)}"
    ours, wanted = mine.double(), theirs.double()
    if not wanted.numel():
        return 0.0
    scale = wanted[wanted.isfinite()].abs().max().clamp(min=1e-6) if wanted.isfinite().any() else 1.0
    same = (ours == wanted) | (ours.isnan() & wanted.isnan())
    return float(torch.where(same, 0.0, (ours - wanted).abs() / scale).nan_to_num(torch.inf).max())
