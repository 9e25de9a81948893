"""Recurrent networks, kept whole: a layer of PyTorch's is an operator with stacked, reordered weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mm_core.ir import Graph, Value
from mm_parser_torch.call import Call, shape, tensor_type
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
    projected = cell is _LSTM and shape(states[0])[2] != shape(states[1])[2]
    each = (4 if biases else 2) + projected
    build = _projected_layer if projected else _layer
    sequence = g.transpose(x, permutation=(1, 0, 2)) if batch_first else x
    last: list[Sequence[Value]] = []
    for layer in range(layers):
        own = parameters[layer * each * directions : (layer + 1) * each * directions]
        sets = [own[direction * each : (direction + 1) * each] for direction in range(directions)]
        first = [g.slice(state, [layer * directions], [(layer + 1) * directions], [0]) for state in states]
        sequence, finals = build(g, call, cell, sequence, sets, biases, first)
        last.append(finals)
    result = g.transpose(sequence, permutation=(1, 0, 2)) if batch_first else sequence
    return result, *(_joined(g, parts, 0) for parts in zip(*last))


def _joined(g: Graph, parts: Sequence[Value], axis: int) -> Any:
    return g.concat(*parts, axis=axis) if len(parts) > 1 else parts[0]


def _layer(
    g: Graph,
    call: Call,
    cell: _Cell,
    x: Value,
    sets: Sequence[Sequence[Value]],
    biases: bool,
    first: Sequence[Value],
) -> tuple[Value, Sequence[Value]]:
    """One layer: its sequence [length, batch, directions * width] and last states [directions, batch, width]."""
    width, directions = size_of(g, first[0], 2), len(sets)
    if not isinstance(width, int):
        raise call.unsupported("the width of the states must be known")
    weights, recurrent = (_stacked(g, [_reordered(g, parts[i], cell.gates) for parts in sets]) for i in (0, 1))
    bias = None
    if biases:
        bias = _stacked(
            g, [g.concat(*(_reordered(g, part, cell.gates) for part in parts[2:4]), axis=0) for parts in sets]
        )
    y, *finals = g.op(
        cell.operator,
        x,
        weights,
        recurrent,
        bias,
        None,
        *first,
        direction="bidirectional" if directions > 1 else "forward",
        hidden_size=width,
        **_activations(cell, directions),
    )
    # [length, directions, batch, width] to [length, batch, directions * width].
    length, batch = (g.shape(y, start=axis, end=axis + 1) for axis in (0, 2))
    sizes = g.concat(length, batch, g.constant([directions * width], "int64"), axis=0)
    return g.reshape(g.transpose(y, permutation=(0, 2, 1, 3)), sizes), finals


def _projected_layer(
    g: Graph,
    call: Call,
    cell: _Cell,
    x: Value,
    sets: Sequence[Sequence[Value]],
    biases: bool,
    first: Sequence[Value],
) -> tuple[Value, Sequence[Value]]:
    """A layer of an LSTM that hands on a product of its state (proj_size): a scan for each direction."""
    outputs, finals = [], []
    for direction, (weights, recurrent, *others) in enumerate(sets):
        # What the inputs add to the gates is known before the first step.
        total = g.linear(x, weights, g.add(*others[:2]) if biases else None)
        states = [g.gather(state, g.constant(direction, "int64"), axis=0) for state in first]
        region = _projected_step(g, [*states, g.gather(total, g.constant(0, "int64"), axis=0), recurrent, others[-1]])
        back = (direction == 1,)
        inputs = (*states, total, recurrent, others[-1])
        *ends, y = g.scan(*inputs, states=2, scans=1, input_reverse=back, output_reverse=back, regions=(region,))
        outputs.append(y)
        finals.append(ends)
    return _joined(g, outputs, 2), [_stacked(g, parts) for parts in zip(*finals)]


def _projected_step(g: Graph, arguments: Sequence[Value]) -> Graph:
    """From (output, state, gates, recurrent weights, projection) to (output, state, output)."""
    region = Graph(within=g)
    y, state, gates, recurrent, projection = (region.add_argument(tensor_type(value)) for value in arguments)
    entry, forget, new, out = region.split(region.add(gates, region.linear(y, recurrent)), axis=-1, parts=4)
    kept = region.mul(region.sigmoid(forget), state)
    state = region.add(kept, region.mul(region.sigmoid(entry), region.tanh(new)))
    y = region.linear(region.mul(region.sigmoid(out), region.tanh(state)), projection)
    region.set_outputs([y, state, region.identity(y)])
    return region


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
    return _joined(g, [g.unsqueeze(value, axes=(0,)) for value in values], 0)
