"""Recurrent networks, kept whole: a layer of PyTorch's is an operator with stacked, reordered weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_torch.call import Call, shape
from mm_parser_torch.sizes import size_of
from mm_parser_torch.table import Family

FAMILY = Family()
op = FAMILY.op


@dataclass(frozen=True)
class _Cell:
    """Our operator for a kind of cell; `gates` is the order in which it wants PyTorch's gates."""

    operator: str
    gates: tuple[int, ...]
    attributes: dict[str, Any]


_LSTM = _Cell("mm.lstm", (0, 3, 1, 2), {})
_GRU = _Cell("mm.gru", (1, 0, 2), {"linear_before_reset": True})
_TANH = _Cell("mm.rnn", (0,), {})
_RELU = _Cell("mm.rnn", (0,), {"activations": ("relu",)})


@op("lstm.input")
def lstm(
    g: Graph,
    call: Call,
    x: Value,
    states: Sequence[Value],
    parameters: Sequence[Value],
    biases: bool,
    layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    return _run(g, call, _LSTM, x, states, parameters, biases, layers, dropout * train, bidirectional, batch_first)


def _one_state(cell: _Cell) -> Any:
    def build(
        g: Graph,
        call: Call,
        x: Value,
        state: Value,
        parameters: Sequence[Value],
        biases: bool,
        layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> Any:
        return _run(g, call, cell, x, [state], parameters, biases, layers, dropout * train, bidirectional, batch_first)

    return build


op("gru.input")(_one_state(_GRU))
op("rnn_tanh.input")(_one_state(_TANH))
op("rnn_relu.input")(_one_state(_RELU))


def _run(
    g: Graph,
    call: Call,
    cell: _Cell,
    x: Value,
    states: Sequence[Value],
    parameters: Sequence[Value],
    biases: bool,
    layers: int,
    dropout: float,
    bidirectional: bool,
    batch_first: bool,
) -> Any:
    """Layer on layer; gives the sequence and the last states. States are [layers * directions, batch, width]."""
    if dropout:
        raise call.unsupported("dropout between layers is for training", remedy="call eval() on the module")
    directions = 2 if bidirectional else 1
    width = size_of(g, states[0], 2)
    each = (4 if biases else 2) + (cell is _LSTM and shape(states[0])[2] != shape(states[-1])[2])
    if len(parameters) != each * directions * layers or not isinstance(width, int):
        raise call.unsupported("projections (proj_size) and unknown widths are not offered")
    sequence = g.transpose(x, permutation=(1, 0, 2)) if batch_first else x
    last: list[list[Value]] = [[] for _ in states]
    for layer in range(layers):
        own = parameters[layer * each * directions : (layer + 1) * each * directions]
        sets = [own[direction * each : (direction + 1) * each] for direction in range(directions)]
        weights, recurrent = (_stacked(g, [_reordered(g, parts[i], cell.gates) for parts in sets]) for i in (0, 1))
        bias = None
        if biases:
            bias = _stacked(
                g, [g.concat(*(_reordered(g, part, cell.gates) for part in parts[2:4]), axis=0) for parts in sets]
            )
        first = [g.slice(state, [layer * directions], [(layer + 1) * directions], [0]) for state in states]
        y, *finals = g.op(
            cell.operator,
            sequence,
            weights,
            recurrent,
            bias,
            None,
            *first,
            direction="bidirectional" if bidirectional else "forward",
            hidden_size=width,
            **_activations(cell, directions),
        )
        for kept, final in zip(last, finals):
            kept.append(final)
        # [length, directions, batch, width] to [length, batch, directions * width].
        length, batch = (g.shape(y, start=axis, end=axis + 1) for axis in (0, 2))
        sizes = g.concat(length, batch, g.constant([directions * width], "int64"), axis=0)
        sequence = g.reshape(g.transpose(y, permutation=(0, 2, 1, 3)), sizes)
    result = g.transpose(sequence, permutation=(1, 0, 2)) if batch_first else sequence
    return result, *(g.concat(*parts, axis=0) if len(parts) > 1 else parts[0] for parts in last)


def _activations(cell: _Cell, directions: int) -> dict[str, Any]:
    return {name: value * directions if name == "activations" else value for name, value in cell.attributes.items()}


def _reordered(g: Graph, weight: Value, gates: Sequence[int]) -> Any:
    """Rows of the gates in another order."""
    if len(gates) == 1:
        return weight
    parts = g.split(weight, axis=0, parts=len(gates))
    return g.concat(*(parts[gate] for gate in gates), axis=0)


def _stacked(g: Graph, values: Sequence[Value]) -> Any:
    """Values of the directions along a new first axis."""
    parts = [g.unsqueeze(value, axes=(0,)) for value in values]
    return g.concat(*parts, axis=0) if len(parts) > 1 else parts[0]
