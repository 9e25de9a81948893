"""Recurrent networks: rnn, lstm and gru (ONNX RNN, LSTM, GRU).

x is [L, B, I] (with `layout` 1: [B, L, I]), w [D, gates * H, I], r [D, gates * H, H], b [D, 2 * gates * H] (those of w,
then those of r), with D = 2 directions where `direction` is bidirectional. Results: y [L, D, B, H], then the last
states [D, B, H] (with `layout` 1 the batch comes first in all). Steps beyond `sequence_lens` leave the state as it is
and give zeros. A cell is written once over the builder's interface; references run it on numpy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from mm_core.ir import Graph
from mm_core.ops import FLOATS, Arity, Attribute, KnownValues, OpDef, Operand, Result
from mm_core.types import BY_NAME, Array
from mm_ops_standard.checks import require, require_rank, same
from mm_ops_standard.eager import Eager
from mm_ops_standard.precision import in_float32, wide
from mm_ops_standard.shapes import shape_operand, shapes_of, sizes_of

_INT32, _INT64 = BY_NAME["int32"], BY_NAME["int64"]
_ACTIVATIONS: Mapping[str, tuple[Callable[..., Any], float | None, float | None]] = {
    "relu": (lambda g, x, alpha, beta: g.relu(x), None, None),
    "tanh": (lambda g, x, alpha, beta: g.tanh(x), None, None),
    "sigmoid": (lambda g, x, alpha, beta: g.sigmoid(x), None, None),
    "affine": (lambda g, x, alpha, beta: g.add(g.mul(x, alpha), beta), 1.0, 0.0),
    "leaky_relu": (lambda g, x, alpha, beta: g.leaky_relu(x, alpha=alpha), 0.01, None),
    "thresholded_relu": (lambda g, x, alpha, beta: g.thresholded_relu(x, alpha=alpha), 1.0, None),
    "scaled_tanh": (lambda g, x, alpha, beta: g.mul(g.tanh(g.mul(x, beta)), alpha), 1.0, 1.0),
    "hard_sigmoid": (lambda g, x, alpha, beta: g.hard_sigmoid(x, alpha=alpha, beta=beta), 0.2, 0.5),
    "elu": (lambda g, x, alpha, beta: g.elu(x, alpha=alpha), 1.0, None),
    "softsign": (lambda g, x, alpha, beta: g.softsign(x), None, None),
    "softplus": (lambda g, x, alpha, beta: g.softplus(x), None, None),
}
"""For each activation: its primitives, and the defaults of alpha and beta where it has them."""

Activate = Callable[..., Any]


def _activations(
    op: str, names: Sequence[str], alphas: Sequence[float], betas: Sequence[float], clip: float
) -> list[Activate]:
    """Functions `f(g, x)`. Alphas and betas are handed out in order to the activations that have one."""
    alpha_values, beta_values = iter(alphas), iter(betas)

    def make(name: str) -> Activate:
        require(name in _ACTIVATIONS, f"{op}: the activation {name!r} is none of {', '.join(_ACTIVATIONS)}")
        function, alpha, beta = _ACTIVATIONS[name]
        alpha = None if alpha is None else next(alpha_values, alpha)
        beta = None if beta is None else next(beta_values, beta)

        def activate(g: Any, x: Any) -> Any:
            return function(g, g.clip(x, -clip, clip) if clip else x, alpha, beta)

        return activate

    return [make(name) for name in names]


def _parts(g: Any, value: Any, count: int, size: int) -> list[Any]:
    """`count` neighbours of `size` elements each along the last axis."""
    starts = range(0, count * size, size)
    axis = np.array([-1], np.int64)
    return [g.slice(value, np.array([start]), np.array([start + size]), axis) for start in starts]


class _Recurrent(OpDef):
    """What the three share; `cell` is one step of one direction."""

    gates: ClassVar[int]
    states: ClassVar[int] = 1
    default_activations: ClassVar[tuple[str, ...]]
    dtypes = {"T": FLOATS, "L": frozenset({_INT32})}
    operands: ClassVar[tuple[Operand, ...]] = (
        Operand("x"),
        Operand("w"),
        Operand("r"),
        Operand("b", "T", Arity.OPTIONAL),
        Operand("sequence_lens", "L", Arity.OPTIONAL),
        Operand("initial_h", "T", Arity.OPTIONAL),
    )
    results: ClassVar[tuple[Result, ...]] = (Result("y"), Result("y_h"))
    attributes: ClassVar[tuple[Attribute, ...]] = (
        Attribute("direction", str, "forward", ("forward", "reverse", "bidirectional")),
        Attribute("hidden_size", int, None),
        Attribute("activations", (str,), ()),
        Attribute("activation_alpha", (float,), ()),
        Attribute("activation_beta", (float,), ()),
        Attribute("clip", float, 0.0),
        Attribute("layout", int, 0, (0, 1)),
    )

    def cell(self, *args: Any, **attributes: Any) -> tuple[Any, ...]:
        """`cell(g, activate, x, states, fixed, **attributes)`: the next states; the first is also the output.

        x [B, gates * H] is multiplied and biased already. `fixed` is what `arrange` gives, and `lens` [B, 1] where
        sequences have their own lengths.
        """
        raise NotImplementedError

    def arrange(self, g: Any, fixed: Any, *args: Any, **attributes: Any) -> Any:
        """`arrange(g, fixed, hidden, **attributes)`: the values that all steps share, as the cell wants them.

        Given are `r` [H, gates * H] and, where present, `r_bias` [gates * H] and the peepholes `p` [3 * H].
        """
        return fixed

    def infer(self, types: Any, values: KnownValues, *, direction: str, layout: int, **attributes: Any) -> Any:
        x, w, r, b, lens = shapes_of(types[:5])
        for name, shape in (("x", x), ("w", w), ("r", r)):
            require_rank(self.name, name, shape, 3)
        length, batch = (x[1], x[0]) if layout else (x[0], x[1])
        directions, hidden = self._extents(r, direction, attributes["hidden_size"])
        same(x[2], w[2], f"{self.name}: features of x and of w")
        for name, shape in (("w", w), ("r", r)):
            same(shape[0], directions, f"{self.name}: directions of {name} and the attribute direction")
            same(shape[1], hidden * self.gates, f"{self.name}: rows of {name} and {self.gates} times the hidden size")
        same(r[2], hidden, f"{self.name}: the hidden size and the attribute hidden_size")
        if b is not None:
            require_rank(self.name, "b", b, 2)
            same(b[1], hidden * 2 * self.gates, f"{self.name}: the bias and {2 * self.gates} times the hidden size")
        if lens is not None:
            require_rank(self.name, "sequence_lens", lens, 1)
            same(lens[0], batch, f"{self.name}: sequence_lens and the batch")
        self._activate(directions, **attributes)
        state = (batch, directions, hidden) if layout else (directions, batch, hidden)
        for type_ in types[5 : 5 + self.states]:
            if type_ is not None:
                require_rank(self.name, "an initial state", type_.shape, 3)
                for left, right in zip(type_.shape, state):
                    same(left, right, f"{self.name}: sizes of an initial state and of the state")
        y = (batch, length, directions, hidden) if layout else (length, directions, batch, hidden)
        return [y, *[state] * self.states]

    def _extents(self, r: Any, direction: str, hidden_size: int | None) -> tuple[int, Any]:
        """How many directions there are, and the size of the state, from the shape of r and the attributes."""
        return 2 if direction == "bidirectional" else 1, r[2] if hidden_size is None else hidden_size

    def _activate(
        self, directions: int, activations: Any, activation_alpha: Any, activation_beta: Any, clip: float, **rest: Any
    ) -> list[list[Activate]]:
        """The activations of each direction."""
        count = len(self.default_activations)
        names = activations or self.default_activations * directions
        require(
            len(names) == count * directions, f"{self.name}: {len(names)} activations, needed are {count * directions}"
        )
        functions = _activations(self.name, names, activation_alpha, activation_beta, clip)
        return [functions[index * count : (index + 1) * count] for index in range(directions)]

    def reference(self, *operands: Any, **attributes: Any) -> tuple[Array, ...]:
        padded = (*operands, *[None] * (len(self.operands) - len(operands)))
        arrays: list[Any] = [None if item is None else wide(item) for item in padded]
        x, r = arrays[0], arrays[2]
        batch = x.shape[0 if attributes["layout"] else 1]
        start = np.zeros((batch, r.shape[2]), x.dtype)
        results = self._run(Eager(), _iterate, start, arrays, r.shape[0], r.shape[2], **attributes)
        return tuple(np.ascontiguousarray(result).astype(operands[0].dtype) for result in results)

    def decompose(self, graph: Any, *operands: Any, **attributes: Any) -> Any:
        directions, hidden = self._extents(operands[2].type.shape, attributes["direction"], attributes["hidden_size"])
        if not isinstance(hidden, int):
            return None

        def build(x: Any, *floats: Any) -> Any:
            values = self._pinned(graph, [x, *floats[:3], operands[4], *floats[3:]], directions, hidden, **attributes)
            batch = sizes_of(graph, x)[0 if attributes["layout"] else 1]
            start = graph.expand(graph.constant(0, x.type.dtype), shape_operand(graph, [batch, hidden]))
            return self._run(graph, _scan, start, values, directions, hidden, **attributes)

        return in_float32(graph, build, *operands[:4], *operands[5:])

    def _pinned(
        self, graph: Any, values: Sequence[Any], directions: int, hidden: int, *, layout: int, **attributes: Any
    ) -> list[Any]:
        """The operands in the shapes that they must have, where their types leave sizes open."""
        x = values[0]
        batch, rows = x.type.shape[0 if layout else 1], self.gates * hidden
        state = (batch, directions, hidden) if layout else (directions, batch, hidden)
        shapes = [
            x.type.shape, (directions, rows, x.type.shape[2]), (directions, rows, hidden), (directions, 2 * rows),
            (batch,), *[state] * self.states, (directions, 3 * hidden),
        ]  # fmt: skip
        sizes = dict(zip(x.type.shape, sizes_of(graph, x)))
        return [
            value
            if value is None or value.type.shape == shape
            else graph.reshape(value, shape_operand(graph, [sizes.get(dim, dim) for dim in shape]))
            for value, shape in zip(values, shapes)
        ]

    def _run(
        self,
        g: Any,
        iterate: Any,
        start: Any,
        operands: Sequence[Any],
        directions: int,
        hidden: int,
        *,
        direction: str,
        layout: int,
        **attributes: Any,
    ) -> tuple[Any, ...]:
        x, w, r, b, lens = operands[:5]
        initial, rest = operands[5 : 5 + self.states], operands[5 + self.states :]
        if layout:
            x = g.transpose(x, permutation=(1, 0, 2))
            initial = [None if state is None else g.transpose(state, permutation=(1, 0, 2)) for state in initial]
        outputs, finals = [], []
        for index, activate in enumerate(self._activate(directions, **attributes)):
            backwards = direction == "reverse" or index == 1
            fixed = {"r": _turned(g, r, index)}
            if rest and rest[0] is not None:
                fixed["p"] = _pick(g, rest[0], index)
            inputs = g.matmul(_flip(g, x, lens) if backwards else x, _turned(g, w, index))
            if b is not None:
                w_bias, fixed["r_bias"] = _parts(g, _pick(g, b, index), 2, self.gates * hidden)
                inputs = g.add(inputs, w_bias)
            fixed = self.arrange(g, fixed, hidden, **attributes)
            if lens is not None:
                fixed["lens"] = g.unsqueeze(lens, axes=(1,))
            states = [start if state is None else _pick(g, state, index) for state in initial]

            def step(g: Any, states: Any, slices: Any, fixed: Any, activate: Any = activate) -> Any:
                after = self.cell(g, activate, slices[0], states, fixed, hidden=hidden, **attributes)
                if "lens" not in fixed:
                    return after, after[0]
                going = g.less(slices[1], fixed["lens"])
                kept = tuple(g.select(going, new, old) for new, old in zip(after, states))
                return kept, g.select(going, after[0], 0.0)

            scanned = [inputs]
            if lens is not None:
                length = g.reshape(g.shape(inputs, start=0, end=1), np.zeros(0, np.int64))
                scanned.append(g.cast(g.range(np.int64(0), length, np.int64(1)), to=_INT32))
            after, y = iterate(g, step, states, scanned, fixed)
            outputs.append(g.unsqueeze(_flip(g, y, lens) if backwards else y, axes=(1,)))
            finals.append([g.unsqueeze(state, axes=(0,)) for state in after])
        y = outputs[0] if directions == 1 else g.concat(*outputs, axis=1)
        states = [parts[0] if directions == 1 else g.concat(*parts, axis=0) for parts in zip(*finals)]
        if layout:
            y = g.transpose(y, permutation=(2, 0, 1, 3))
            states = [g.transpose(state, permutation=(1, 0, 2)) for state in states]
        return (y, *states)


def _pick(g: Any, value: Any, direction: int) -> Any:
    return g.gather(value, np.array(direction, np.int64), axis=0)


def _turned(g: Any, weights: Any, direction: int) -> Any:
    """One direction's weights [columns, gates * H]."""
    return g.transpose(_pick(g, weights, direction), permutation=(1, 0))


def _flip(g: Any, value: Any, lens: Any) -> Any:
    """Time turned round, each sequence within its own length."""
    if lens is None:
        return g.reverse(value, axes=(0,))
    return g.reverse_sequence(value, g.cast(lens, to=_INT64), time_axis=0, batch_axis=1)


def _iterate(g: Eager, step: Any, states: Any, scanned: Any, fixed: Any) -> tuple[Any, Array]:
    outputs = []
    for slices in zip(*scanned):
        states, y = step(g, states, [np.asarray(item) for item in slices], fixed)
        outputs.append(y)
    return states, np.stack(outputs) if outputs else np.zeros((0, *states[0].shape), states[0].dtype)


def _scan(graph: Any, step: Any, states: Any, scanned: Any, fixed: Any) -> tuple[Any, Any]:
    body = Graph(within=graph.graph)
    inner_states = [body.add_argument(state.type) for state in states]
    slices = [body.add_argument(value.type.with_shape(value.type.shape[1:])) for value in scanned]
    inner_fixed = {name: body.add_argument(value.type) for name, value in fixed.items()}
    after, y = step(body, inner_states, slices, inner_fixed)
    body.set_outputs([*after, y])
    results = graph.scan(*states, *scanned, *fixed.values(), states=len(states), scans=len(scanned), regions=(body,))
    return results[: len(states)], results[len(states)]


class RNN(_Recurrent):
    """h' = f(x @ w.T + h @ r.T + biases) (ONNX RNN); operands and results as the module says."""

    name = "mm.rnn"
    gates = 1
    default_activations = ("tanh",)

    def cell(self, g: Any, activate: Any, x: Any, states: Any, fixed: Any, **attributes: Any) -> tuple[Any, ...]:
        return (activate[0](g, g.add(x, _recur(g, states[0], fixed))),)


def _recur(g: Any, h: Any, fixed: Any, part: str = "") -> Any:
    """h @ r.T + its bias, for the gates that `part` names."""
    product = g.matmul(h, fixed["r" + part])
    return g.add(product, fixed["r_bias" + part]) if "r_bias" + part in fixed else product


class LSTM(_Recurrent):
    """Long short-term memory: gates in the order i, o, f, c, optional peepholes p [D, 3 * H] for i, o, f (ONNX LSTM).

    Activations f, g, h: of gates, of candidates, of the cell's output. `input_forget` couples f = 1 - i. Results: y,
    the last hidden state, the last cell state.
    """

    name = "mm.lstm"
    gates = 4
    states = 2
    default_activations = ("sigmoid", "tanh", "tanh")
    operands = (
        *_Recurrent.operands,
        Operand("initial_c", "T", Arity.OPTIONAL),
        Operand("p", "T", Arity.OPTIONAL),
    )
    results = (*_Recurrent.results, Result("y_c"))
    attributes = (*_Recurrent.attributes, Attribute("input_forget", bool, False))

    def cell(
        self, g: Any, activate: Any, x: Any, states: Any, fixed: Any, *, hidden: int, input_forget: bool, **rest: Any
    ) -> tuple[Any, ...]:
        h, c = states
        i, o, f, candidate = _parts(g, g.add(x, _recur(g, h, fixed)), 4, hidden)
        peep = _parts(g, fixed["p"], 3, hidden) if "p" in fixed else None
        if peep is not None:
            i, f = g.add(i, g.mul(peep[0], c)), g.add(f, g.mul(peep[2], c))
        i = activate[0](g, i)
        f = g.sub(1.0, i) if input_forget else activate[0](g, f)
        c = g.add(g.mul(f, c), g.mul(i, activate[1](g, candidate)))
        if peep is not None:
            o = g.add(o, g.mul(peep[1], c))
        return g.mul(activate[0](g, o), activate[2](g, c)), c


class GRU(_Recurrent):
    """Gated recurrent unit with gates in the order z, r, h (arXiv 1406.1078; ONNX GRU).

    `linear_before_reset` applies the reset gate after the recurrent product instead of before it.
    """

    name = "mm.gru"
    gates = 3
    default_activations = ("sigmoid", "tanh")
    attributes = (*_Recurrent.attributes, Attribute("linear_before_reset", bool, False))

    def arrange(
        self, g: Any, fixed: dict[str, Any], hidden: int, *, linear_before_reset: bool, **rest: Any
    ) -> dict[str, Any]:
        """The weights of z and r apart from those of h, whose factor is known only after the reset gate."""
        if linear_before_reset:
            return fixed
        arranged = {}
        for name, value in fixed.items():
            z, r, h = _parts(g, value, 3, hidden)
            arranged[name], arranged[name + "_h"] = g.concat(z, r, axis=-1), h
        return arranged

    def cell(
        self,
        g: Any,
        activate: Any,
        x: Any,
        states: Any,
        fixed: Any,
        *,
        hidden: int,
        linear_before_reset: bool,
        **rest: Any,
    ) -> tuple[Any, ...]:
        h = states[0]
        gates = _recur(g, h, fixed)
        x_z, x_r, x_h = _parts(g, x, 3, hidden)
        h_z, h_r = _parts(g, gates, 2, hidden)
        z, reset = activate[0](g, g.add(x_z, h_z)), activate[0](g, g.add(x_r, h_r))
        if linear_before_reset:
            recurrent = g.mul(reset, _parts(g, gates, 3, hidden)[2])
        else:
            recurrent = _recur(g, g.mul(reset, h), fixed, "_h")
        candidate = activate[1](g, g.add(x_h, recurrent))
        return (g.add(g.mul(g.sub(1.0, z), candidate), g.mul(z, h)),)


OPS: tuple[type[OpDef], ...] = (RNN, LSTM, GRU)
