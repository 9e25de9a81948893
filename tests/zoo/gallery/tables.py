"""No images, no text: a network over a graph's edges, and tables through scikit-learn."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.zoo.gallery.exhibit import FILE, Exhibit, Inputs, exported
from tests.zoo.gallery.modules import only
from tests.zoo.text import spread_weights

if TYPE_CHECKING:
    import torch

FEATURES = 6


def exhibits() -> Iterator[Exhibit]:
    axes = {"nodes": ("count",), "edges": (None, "links")}
    yield exported("graph_network", graph_network, molecules, [(9, 20), (5, 1), (30, 90)], axes, "dynamo", 18,
                   ("ScatterElements",))  # fmt: skip
    yield Exhibit("forest", make_forest, rows, ("TreeEnsembleClassifier", "Scaler"))


def molecules(generator: np.random.Generator, count: int, links: int) -> Inputs:
    nodes = generator.standard_normal((count, FEATURES)).astype(np.float32)
    return {"nodes": nodes, "edges": generator.integers(0, count, (2, links))}


def graph_network() -> torch.nn.Module:
    """Two rounds of messages along edges, summed and maximised at their targets; one number for each node."""
    import torch
    from torch import nn

    class GraphNetwork(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.message = nn.ModuleList([nn.Linear(2 * FEATURES, FEATURES) for _ in range(2)])
            self.update = nn.ModuleList([nn.Linear(3 * FEATURES, FEATURES) for _ in range(2)])
            self.head = nn.Linear(FEATURES, 1)

        def forward(self, nodes: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
            sources, targets = edges[0], edges[1]
            for message, update in zip(self.message, self.update):
                sent = torch.tanh(message(torch.cat([nodes[sources], nodes[targets]], dim=-1)))
                places = targets.unsqueeze(-1).expand_as(sent)
                empty = torch.zeros_like(nodes)
                total = empty.scatter_add(0, places, sent)
                largest = empty.scatter_reduce(0, places, sent, "amax")
                nodes = torch.relu(update(torch.cat([nodes, total, largest], dim=-1)))
            return self.head(nodes)

    return only(spread_weights(GraphNetwork()))


def rows() -> list[Inputs]:
    return [
        {"rows": np.random.default_rng(count).normal(size=(count, FEATURES)).astype(np.float32) * 3 + 1}
        for count in (5, 1, 40)
    ]


def make_forest(folder: Path) -> None:
    """Columns standardised, then a random forest: the likeliest class, and how likely each is."""
    from skl2onnx import to_onnx
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    generator = np.random.default_rng(0)
    table = (generator.normal(size=(200, FEATURES)) * 3 + 1).astype(np.float32)
    classes = (table[:, 0] > 1).astype(np.int64) + (table[:, 1] * table[:, 2] > 3)
    pipeline = make_pipeline(StandardScaler(), RandomForestClassifier(12, max_depth=5, random_state=0))
    pipeline.fit(table, classes)
    options = {id(pipeline): {"zipmap": False}}
    model = to_onnx(pipeline, initial_types=_types(), options=options, target_opset={"": 18, "ai.onnx.ml": 3})
    (folder / FILE).write_bytes(model.SerializeToString())


def _types() -> list:
    from skl2onnx.common.data_types import FloatTensorType

    return [("rows", FloatTensorType([None, FEATURES]))]
