"""A model of the catalog on the CPU backend against eager."""

from __future__ import annotations

import warnings
from typing import Any

import mm_parser_torch.tensors as tensors
import torch
import torch.utils._pytree as pytree
from hf_catalog import Entry

import mm_core as mm


def difference(entry: Entry, dynamic: bool) -> float:
    """The largest difference of any result, relative to that result's largest magnitude.

    Dynamic: exported for a batch of two with the batch open, run for three.
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
    results = context.run(feed)
    with torch.no_grad():
        expected = module(**request)
    leaves = [leaf for leaf in pytree.tree_leaves(expected) if isinstance(leaf, torch.Tensor)]
    assert any(leaf.is_floating_point() and leaf.abs().max() > 1e-3 for leaf in leaves), "nothing to compare"
    assert len(leaves) == len(results) - len(state), f"{len(results)} results for {len(leaves)}"
    return max(_relative(mine, theirs) for mine, theirs in zip(results.values(), leaves))


def _relative(mine: Any, theirs: torch.Tensor) -> float:
    assert mine.shape == tuple(theirs.shape), f"{mine.shape} for {tuple(theirs.shape)}"
    ours, wanted = torch.from_numpy(mine).double(), theirs.double()
    return float((ours - wanted).abs().max() / wanted.abs().max().clamp(min=1e-6)) if wanted.numel() else 0.0
