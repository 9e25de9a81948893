"""A network: the outermost graph, with named inputs and outputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mm_core.errors import InputError
from mm_core.ir.graph import Graph
from mm_core.ir.operation import Value
from mm_core.types import TensorData, TensorSpec, ValueType


class Network(Graph):
    """One model as a graph. `str(network)` is its MLIR text, `Network.from_text` the inverse.

    Inputs and outputs keep the names and the order of the source. `dim_range` bounds symbols where the source does:
    `{"N": (1, 64)}`.
    """

    __slots__ = ("dim_range", "name", "output_names")

    def __init__(self, name: str = "network") -> None:
        super().__init__()
        self.name = name
        self.output_names: list[str] = []
        self.dim_range: dict[str, tuple[int, int]] = {}

    def add_input(self, name: str, dtype: object, shape: Iterable[object]) -> Value:
        """A new named tensor input; dimensions are ints, names (or expressions), or None for an unknown size."""
        self._check_input_name(name)
        return super().add_input(name, dtype, shape)

    def add_typed_input(self, name: str, type_: ValueType) -> Value:
        """A new named input of any type: a sequence or an optional too."""
        self._check_input_name(name)
        return self.add_argument(type_, name)

    def _check_input_name(self, name: str) -> None:
        if not name or any(argument.name == name for argument in self.arguments):
            raise InputError(
                f"the input name {name!r} is empty or taken", available=", ".join(a.name for a in self.arguments)
            )

    def mark_output(self, value: Value, name: str | None = None) -> None:
        """Make a value an output, called `name` (default: the value's own name)."""
        name = name or value.name or f"output{len(self.output_names)}"
        if name in self.output_names:
            raise InputError(f"the output name {name!r} is taken", available=", ".join(self.output_names))
        super().mark_output(value, name)
        self.output_names.append(name)

    @property
    def inputs(self) -> list[TensorSpec]:
        return [TensorSpec.of(value.name, value.type) for value in self.arguments]

    @property
    def output_specs(self) -> list[TensorSpec]:
        return [TensorSpec.of(name, value.type) for name, value in zip(self.output_names, self.outputs)]

    def clone(self) -> Network:
        copy = Network(self.name)
        self._copy_into(copy)
        copy.output_names = list(self.output_names)
        copy.dim_range = dict(self.dim_range)
        return copy

    def __str__(self) -> str:
        from mm_core.ir.printer import print_network

        return print_network(self)

    @classmethod
    def from_text(cls, text: str, weights: Mapping[str, TensorData] | None = None) -> Network:
        """Read the text form. Weights that stand there by key are taken from `weights`, or fail when first read."""
        from mm_core.ir.text_parser import parse_network

        return parse_network(text, weights or {})

    def verify(self) -> None:
        """Check structure, operators and types; VerifyError names the first broken rule and the user's node."""
        from mm_core.ir.verifier import verify

        verify(self)

    def __repr__(self) -> str:
        return f"<Network {self.name}: {len(self)} operations, inputs {[a.name for a in self.arguments]}>"

    def weights(self) -> dict[str, TensorData]:
        """The constants that the text form names by key: what `from_text` needs beside the text."""
        from mm_core.ir.printer import weight_keys

        return {key: data for data, key in weight_keys(self)}
