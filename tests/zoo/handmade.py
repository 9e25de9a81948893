"""Hand-made ONNX models for what exported networks rarely contain: control flow, sequences, optionals.

Each case is written in ONNX's text syntax and carries several sets of inputs, so that every branch, an empty
loop and more than one size are taken. `cases()` gives them all; test_zoo runs each with ONNX Runtime.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.numpy_helper
import onnx.parser

Inputs = dict[str, Any]  # arrays; a list for a sequence, None for an empty optional


@dataclass(frozen=True)
class Case:
    """One model and the inputs to run it on."""

    name: str
    text: str
    runs: tuple[Inputs, ...]
    opset: int = 18

    def model(self) -> onnx.ModelProto:
        """The model, parsed and checked."""
        header = f'<ir_version: 9, opset_import: ["" : {self.opset}, "local" : 1]>\n'
        model = onnx.parser.parse_model(header + self.text)
        onnx.checker.check_model(model)
        return model


def cases() -> tuple[Case, ...]:
    """Every hand-made model."""
    families = (conditionals, loops, scans, sequences, optionals, symbols, functions)
    return tuple(case for family in families for case in family())


def save_with_external_data(folder: Path, rows: int = 64) -> Path:
    """A linear layer whose weight [rows, rows] lies in `weights.bin` beside it; input `x` [N, rows]."""
    weight = onnx.numpy_helper.from_array(ramp(rows, rows), "weight")
    model = onnx.parser.parse_model(f"""
        <ir_version: 9, opset_import: ["" : 18]>
        linear (float[N, {rows}] x, float[{rows}, {rows}] weight) => (float[N, {rows}] y) {{
            y = MatMul (x, weight)
        }}
    """)
    model.graph.initializer.append(weight)
    del model.graph.input[1]
    path = folder / "external.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def ramp(*shape: int) -> np.ndarray:
    """float32 values from -1 to 1, none of them equal."""
    return np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape)


def conditionals() -> tuple[Case, ...]:
    """If: with captured values, nested, and with branches of unequal result shapes."""
    capture = Case(
        "if_capture",
        """
        choose (float[N, 4] x, bool positive) => (float[N, 4] y) {
            scale = Constant <value = float {2.0}> ()
            scaled = Mul (x, scale)
            y = If (positive) <
                then_branch = then_graph () => (float[N, 4] a) { a = Relu (scaled) },
                else_branch = else_graph () => (float[N, 4] b) { t = Neg (scaled)  b = Add (t, x) }
            >
        }""",
        ({"x": ramp(3, 4), "positive": np.array(True)}, {"x": ramp(2, 4), "positive": np.array(False)}),
    )
    nested = Case(
        "if_nested_data_dependent",
        """
        choose (float[N] x) => (float[N] y) {
            zero = Constant <value = float {0.0}> ()
            total = ReduceSum <keepdims = 0> (x)
            positive = Greater (total, zero)
            y = If (positive) <
                then_branch = outer () => (float[N] a) {
                    one = Constant <value = float {1.0}> ()
                    large = Greater (total, one)
                    a = If (large) <
                        then_branch = inner_then () => (float[N] c) { c = Div (x, total) },
                        else_branch = inner_else () => (float[N] d) { d = Mul (x, total) }
                    >
                },
                else_branch = other () => (float[N] b) { b = Abs (x) }
            >
        }""",
        tuple({"x": np.array(x, np.float32)} for x in ([1, 2, 3], [0.25, 0.25], [-1, -2, -3, -4])),
    )
    shapes = Case(
        "if_unequal_shapes",
        """
        choose (float[N, 2] x, bool twice) => (float[M, 2] y) {
            y = If (twice) <
                then_branch = then_graph () => (float[P, 2] a) { a = Concat <axis = 0> (x, x) },
                else_branch = else_graph () => (float[N, 2] b) { b = Identity (x) }
            >
        }""",
        ({"x": ramp(3, 2), "twice": np.array(True)}, {"x": ramp(3, 2), "twice": np.array(False)}),
    )
    return capture, nested, shapes


def loops() -> tuple[Case, ...]:
    """Loop: as `for` with carried values and scan outputs, as `while`, and with a trip count of zero."""
    count = Case(
        "loop_for",
        """
        powers (float[N] x, int64 trips) => (float[N] last, float[T, N] each) {
            go = Constant <value = bool {1}> ()
            start = Constant <value = float {1.0}> ()
            zero = Sub (x, x)
            first = Add (zero, start)
            last, each = Loop (trips, go, first) <
                body = body (int64 i, bool keep, float[N] power)
                        => (bool next, float[N] product, float[N] seen) {
                    next = Identity (keep)
                    product = Mul (power, x)
                    index = Cast <to = 1> (i)
                    seen = Add (product, index)
                }
            >
        }""",
        tuple({"x": ramp(3), "trips": np.array(trips, np.int64)} for trips in (1, 4)),
    )
    until = Case(
        "loop_while",
        """
        halve (float[N] x, float limit) => (float[N] y, int64 steps) {
            go = Constant <value = bool {1}> ()
            none = Constant <value = int64 {0}> ()
            one = Constant <value = int64 {1}> ()
            half = Constant <value = float {0.5}> ()
            y, steps = Loop ("", go, x, none) <
                body = body (int64 i, bool keep, float[N] old, int64 n)
                        => (bool next, float[N] smaller, int64 more) {
                    smaller = Mul (old, half)
                    more = Add (n, one)
                    size = Abs (smaller)
                    largest = ReduceMax <keepdims = 0> (size)
                    next = Greater (largest, limit)
                }
            >
        }""",
        (
            {"x": np.array([8, -3], np.float32), "limit": np.array(0.7, np.float32)},
            {"x": np.array([1, 2, 3], np.float32), "limit": np.array(5, np.float32)},
        ),
    )
    nothing = Case(
        "loop_zero_trips",
        """
        still (float[N] x, int64 trips, bool go) => (float[N] y) {
            y = Loop (trips, go, x) <
                body = body (int64 i, bool keep, float[N] old) => (bool next, float[N] new) {
                    next = Identity (keep)
                    new = Add (old, x)
                }
            >
        }""",
        (
            {"x": ramp(2), "trips": np.array(0, np.int64), "go": np.array(True)},
            {"x": ramp(2), "trips": np.array(3, np.int64), "go": np.array(False)},
            {"x": ramp(2), "trips": np.array(3, np.int64), "go": np.array(True)},
        ),
    )
    return count, until, nothing


def scans() -> tuple[Case, ...]:
    """Scan: a running state, and two inputs of which one is read backwards along another axis."""
    running = Case(
        "scan_cumulative_sum",
        """
        running (float[T, N] x, float[N] start) => (float[N] total, float[T, N] partial) {
            total, partial = Scan <num_scan_inputs = 1,
                body = body (float[N] sum, float[N] row) => (float[N] next, float[N] seen) {
                    next = Add (sum, row)
                    seen = Identity (next)
                }
            > (start, x)
        }""",
        ({"x": ramp(5, 3), "start": ramp(3)}, {"x": ramp(1, 2), "start": ramp(2)}),
    )
    reverse = Case(
        "scan_reverse_axes",
        """
        dot (float[N, T] a, float[T, N] b) => (float[N, T] products) {
            products = Scan <num_scan_inputs = 2, scan_input_axes = [1, 0], scan_input_directions = [0, 1],
                             scan_output_axes = [1], scan_output_directions = [1],
                body = body (float[N] u, float[N] v) => (float[N] w) { w = Mul (u, v) }
            > (a, b)
        }""",
        ({"a": ramp(2, 4), "b": ramp(4, 2)},),
    )
    return running, reverse


def sequences() -> tuple[Case, ...]:
    """Sequences: every operator on them, carried through a loop, and as input and output of the model."""
    edit = Case(
        "sequence_edit",
        """
        edit (float[N, 2] a, float[N, 2] b, float[N, 2] c)
                => (float[M, 2] joined, int64 length, float[K, N, 2] stacked) {
            zero = Constant <value = int64 {0}> ()
            one = Constant <value = int64 {1}> ()
            pair = SequenceConstruct (a, b)
            three = SequenceInsert (pair, c, one)
            four = SequenceInsert (three, a)
            rest = SequenceErase (four, zero)
            joined = ConcatFromSequence <axis = 0> (rest)
            stacked = ConcatFromSequence <axis = 0, new_axis = 1> (rest)
            length = SequenceLength (rest)
        }""",
        ({"a": ramp(2, 2), "b": 2 * ramp(2, 2), "c": 3 * ramp(2, 2)},),
    )
    split = Case(
        "sequence_split_at",
        """
        split (float[N, 3] x, int64 position) => (float[P, 3] part, seq(float[Q, 3]) parts) {
            two = Constant <value = int64 {2}> ()
            parts = SplitToSequence <axis = 0> (x, two)
            part = SequenceAt (parts, position)
        }""",
        tuple({"x": ramp(5, 3), "position": np.array(index, np.int64)} for index in (0, 2, -1)),
    )
    carried = Case(
        "sequence_in_loop",
        """
        collect (float[N] x, int64 trips) => (float[M] y) {
            go = Constant <value = bool {1}> ()
            empty = SequenceEmpty <dtype = 1> ()
            all = Loop (trips, go, empty) <
                body = body (int64 i, bool keep, seq(float[P]) old) => (bool next, seq(float[Q]) new) {
                    next = Identity (keep)
                    index = Cast <to = 1> (i)
                    item = Add (x, index)
                    new = SequenceInsert (old, item)
                }
            >
            y = ConcatFromSequence <axis = 0> (all)
        }""",
        tuple({"x": ramp(3), "trips": np.array(trips, np.int64)} for trips in (1, 3)),
    )
    given = Case(
        "sequence_input",
        """
        given (seq(float[N]) items) => (float[M] y, int64 length) {
            y = ConcatFromSequence <axis = 0> (items)
            length = SequenceLength (items)
        }""",
        ({"items": [ramp(2), ramp(3)]}, {"items": [ramp(4)]}),
    )
    return edit, split, carried, given


def optionals() -> tuple[Case, ...]:
    """Optionals: made and opened inside the model, and as an input that may be absent."""
    wrapped = Case(
        "optional_round_trip",
        """
        wrap (float[N] x) => (float[N] y, bool present) {
            box = Optional (x)
            present = OptionalHasElement (box)
            inside = OptionalGetElement (box)
            y = Neg (inside)
        }""",
        ({"x": ramp(4)},),
    )
    given = Case(
        "optional_input",
        """
        given (float[N] x, optional(float[N]) extra) => (float[N] y) {
            present = OptionalHasElement (extra)
            y = If (present) <
                then_branch = then_graph () => (float[N] a) {
                    inside = OptionalGetElement (extra)
                    a = Add (x, inside)
                },
                else_branch = else_graph () => (float[N] b) { b = Identity (x) }
            >
        }""",
        ({"x": ramp(4), "extra": 10 * ramp(4)}, {"x": ramp(4), "extra": None}),
    )
    return wrapped, given


def symbols() -> tuple[Case, ...]:
    """Symbolic dimensions: arithmetic on shapes, and a size that depends on data."""
    shapes = Case(
        "symbolic_reshape",
        """
        fold (float[N, S, 6] x) => (float[N, H, S, D] y, float[A, B] flat, int64[3] size) {
            size = Shape (x)
            zero = Constant <value = int64 {0}> ()
            one = Constant <value = int64 {1}> ()
            first = Constant <value_ints = [0]> ()
            two = Constant <value_ints = [2]> ()
            rest = Constant <value_ints = [-1]> ()
            front = Slice (size, first, two)
            target = Concat <axis = 0> (front, two, rest)
            split = Reshape (x, target)
            y = Transpose <perm = [0, 2, 1, 3]> (split)
            n = Gather (size, zero)
            s = Gather (size, one)
            tokens = Mul (n, s)
            rows = Unsqueeze (tokens, first)
            matrix = Concat <axis = 0> (rows, rest)
            flat = Reshape (x, matrix)
        }""",
        ({"x": ramp(2, 3, 6)}, {"x": ramp(1, 5, 6)}),
    )
    positions = Case(
        "symbolic_range_mask",
        """
        causal (float[N, S, S] scores) => (float[N, S, S] masked) {
            axis = Constant <value_ints = [0]> ()
            column = Constant <value_ints = [1]> ()
            zero = Constant <value = int64 {0}> ()
            one = Constant <value = int64 {1}> ()
            low = Constant <value = float {-1e9}> ()
            shape = Shape <start = 1, end = 2> (scores)
            length = Squeeze (shape, axis)
            index = Range (zero, length, one)
            row = Unsqueeze (index, axis)
            line = Unsqueeze (index, column)
            allowed = LessOrEqual (row, line)
            masked = Where (allowed, scores, low)
        }""",
        ({"scores": ramp(2, 3, 3)}, {"scores": ramp(1, 4, 4)}),
    )
    nonzero = Case(
        "data_dependent_size",
        """
        keep (float[N] x) => (float[K] y, int64[K] where) {
            zero = Constant <value = float {0.0}> ()
            axis = Constant <value_ints = [0]> ()
            mask = Greater (x, zero)
            places = NonZero (mask)
            where = Squeeze (places, axis)
            y = Gather (x, where)
        }""",
        ({"x": ramp(5)}, {"x": -np.abs(ramp(3))}),
    )
    return shapes, positions, nonzero


def functions() -> tuple[Case, ...]:
    """A function of the model itself, called twice, with an attribute passed on."""
    local = Case(
        "local_function",
        """
        call (float[N, 3] x) => (float[N, 3] y) {
            once = local.soften <slope = 0.1> (x)
            y = local.soften <slope = 0.5> (once)
        }
        <domain: "local", opset_import: ["" : 18]>
        soften <slope> (v) => (w) {
            low = LeakyRelu <alpha : float = @slope> (v)
            w = Add (low, v)
        }""",
        ({"x": ramp(2, 3)},),
    )
    return (local,)
