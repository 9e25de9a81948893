"""Reads the text form back. Bad text is a ParseError with line and column; nesting is bounded."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from mm_core.errors import MMError, ParseError
from mm_core.ir.graph import Graph
from mm_core.ir.network import Network
from mm_core.ir.operation import Location, Operation, Value
from mm_core.ops import lookup
from mm_core.types import (
    BY_TEXT,
    Array,
    DType,
    TensorData,
    TensorType,
    ValueType,
    parse_type,
)

MAX_NESTING = 100

_TOKEN = re.compile(
    r"""\s*(?://[^\n]*\s*)*(
      tensor<(?:"[^"]*"|[^<>"]|<[^<>]*>)*>
    | !mm\.(?:string\b|(?:sequence|optional)<(?:"[^"]*"|[^"<>]|<(?:"[^"]*"|[^"<>]|<(?:"[^"]*"|[^<>"]|<[^<>]*>)*>)*>)*>)
    | complex<f\d+>
    | "(?:[^"\\\n]|\\.)*"
    | %[A-Za-z0-9_$.]+(?:\#\d+)?
    | \^[A-Za-z0-9_]+
    | 0x[0-9A-Fa-f]+
    | -?\d+(?:\.\d*(?:[eE][-+]?\d+)?)?
    | [A-Za-z_][A-Za-z0-9_$.]*
    | ->
    | [^\s]
    )""",
    re.VERBOSE,
)

_RANGE = re.compile(r"(\d{1,19}) <= ([A-Za-z_][A-Za-z0-9_.]*) <= (\d{1,19})")


def parse_network(text: str, weights: Mapping[str, TensorData]) -> Network:
    """The network that `text` describes; constants by key are taken from `weights`."""
    return _Parser(text, weights).network()


class _Parser:
    def __init__(self, text: str, weights: Mapping[str, TensorData]) -> None:
        self.text = text
        self.tokens: list[str] = _TOKEN.findall(text)
        self.tokens.append("")
        self.position = 0
        self.weights = dict(weights)
        self.values: dict[str, Value] = {}
        self.depth = 0

    # --- tokens -----------------------------------------------------------------------------------------------------

    def error(self, what: str) -> ParseError:
        offset = 0
        for number, match in enumerate(_TOKEN.finditer(self.text)):
            offset = match.start(1)
            if number == self.position:
                break
        line = self.text.count("\n", 0, offset) + 1
        column = offset - self.text.rfind("\n", 0, offset)
        found = self.tokens[min(self.position, len(self.tokens) - 1)] or "the end"
        return ParseError(f"{what}, found {found[:60]!r}", where=f"line {line}, column {column}")

    def take(self, token: str) -> bool:
        if self.tokens[self.position] == token:
            self.position += 1
            return True
        return False

    def expect(self, token: str) -> None:
        if self.tokens[self.position] != token:
            raise self.error(f"{token!r} expected")
        self.position += 1

    def next(self) -> str:
        token = self.tokens[self.position]
        if not token:
            raise self.error("the text ends too early")
        self.position += 1
        return token

    def string(self) -> str:
        token = self.next()
        if token[0] != '"':
            self.position -= 1
            raise self.error("a string expected")
        return _unquote(token) if "\\" in token else token[1:-1]

    def count(self) -> int:
        token = self.next()
        if not token.isdecimal() or len(token) > 9:
            self.position -= 1
            raise self.error("a number expected")
        return int(token)

    def type(self) -> ValueType:
        token = self.next()
        try:
            return parse_type(token)
        except MMError as error:
            self.position -= 1
            raise self.error(error.what) from None

    # --- structure --------------------------------------------------------------------------------------------------

    def network(self) -> Network:
        wrapped = self.tokens[0] == '"builtin.module"'
        if wrapped:
            self.position = 1
            for token in ("(", ")", "(", "{"):
                self.expect(token)
        if self.string() != "mm.network":
            self.position -= 1
            raise self.error('"mm.network" expected')
        for token in ("(", ")", "(", "{"):
            self.expect(token)
        network = Network()
        self.body(network)
        for token in ("}", ")"):
            self.expect(token)
        attributes = self.dictionary()
        for token in (":", "(", ")", "->", "(", ")"):
            self.expect(token)
        if wrapped:
            for token in ("}", ")", ":", "(", ")", "->", "(", ")"):
                self.expect(token)
        if self.tokens[self.position]:
            raise self.error("the end expected")
        network.name = str(attributes.get("name", "network"))
        inputs, outputs = attributes.get("inputs", ()), attributes.get("outputs", ())
        if not all(isinstance(names, tuple) and all(isinstance(n, str) for n in names) for names in (inputs, outputs)):
            raise ParseError("the lists of input and output names are not lists of strings")
        if len(inputs) != len(network.arguments) or len(outputs) != len(network.outputs):
            raise ParseError("the lists of input and output names do not fit the network's body")
        for argument, name in zip(network.arguments, inputs):
            argument.name = name
        network.output_names = list(outputs)
        ranges = attributes.get("dim_range", ())
        for text in ranges if isinstance(ranges, tuple) else (ranges,):
            found = _RANGE.fullmatch(str(text))
            if found is None:
                raise ParseError(f"{text!r} is not a range of a size", remedy='write it as "1 <= N <= 64"')
            network.dim_range[found[2]] = (int(found[1]), int(found[3]))
        return network

    def body(self, graph: Graph) -> None:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self.error(f"regions nest deeper than {MAX_NESTING}")
        outer, self.values = self.values, {}
        if self.tokens[self.position].startswith("^"):
            self.position += 1
            self.expect("(")
            while not self.take(")"):
                name = self.next()
                self.expect(":")
                self.values[name] = graph.add_argument(self.type(), _hint(name))
                self.take(",")
            self.expect(":")
        while self.tokens[self.position] != "}":
            self.operation(graph)
        self.values = outer
        self.depth -= 1

    def operation(self, graph: Graph) -> None:
        tokens = self.tokens
        names, count = "", 0
        if tokens[self.position].startswith("%"):
            names, count = self.next(), 1
            if self.take(":"):
                count = self.count()
            self.expect("=")
        start = self.position
        op_name = self.string()
        self.expect("(")
        operands: list[Value | None] = []
        while not self.take(")"):
            token = self.next()
            value = self.values.get(token)
            if value is None:
                self.position -= 1
                raise self.error("a value defined before, in the same region, expected")
            operands.append(value)
            self.take(",")
        if self.take("<"):
            operands = self.segments(operands)
        regions: list[Graph] = []
        if self.take("("):
            while not self.take(")"):
                self.expect("{")
                region = Graph(within=graph)
                self.body(region)
                self.expect("}")
                regions.append(region)
                self.take(",")
        attributes = self.dictionary() if tokens[self.position] == "{" else {}
        for token in (":", "("):
            self.expect(token)
        present = [value for value in operands if value is not None]
        for value in present:
            if self.type() != value.type:
                self.position -= 1
                raise self.error(f"the operand's type is {value.type}")
            self.take(",")
        for token in (")", "->"):
            self.expect(token)
        types: list[ValueType] = []
        if self.take("("):
            while not self.take(")"):
                types.append(self.type())
                self.take(",")
        else:
            types.append(self.type())
        locations = self.locations() if tokens[self.position] == "loc" else ()
        if op_name == "mm.yield":
            graph.set_outputs(present)
            return
        if len(types) != count:
            raise self.error(f"{op_name} names {count} results and has {len(types)} result types")
        try:
            definition = lookup(op_name)
            version = attributes.pop("version", 1)
            if version != definition.version:
                raise ParseError(f"{op_name} of version {version} is not the installed version {definition.version}")
            normal = definition.normalize_attributes(attributes)
        except MMError as error:
            self.position = start
            raise error.located(self.error("").where) from None
        operation = Operation(definition, operands, types, normal, regions, locations)
        graph.insert(operation)
        if count == 1:
            self.values[names] = operation.results[0]
            operation.results[0].name = _hint(names)
        else:
            for index, result in enumerate(operation.results):
                self.values[f"{names}#{index}"] = result
            if operation.results:
                operation.results[0].name = _hint(names)

    def segments(self, operands: list[Value | None]) -> list[Value | None]:
        for token in ("{", "operandSegmentSizes", "=", "array", "<", "i32", ":"):
            self.expect(token)
        spread: list[Value | None] = []
        present = iter(operands)
        while not self.take(">"):
            spread.append(next(present, None) if self.next() == "1" else None)
            self.take(",")
        for token in ("}", ">"):
            self.expect(token)
        if sum(value is not None for value in spread) != len(operands):
            raise self.error("operandSegmentSizes must count the operands")
        return spread

    def locations(self) -> list[Location]:
        self.expect("loc")
        self.expect("(")
        found = []
        if self.take("fused"):
            self.expect("[")
            while not self.take("]"):
                found.append(self.location())
                self.take(",")
        elif self.tokens[self.position] != "unknown":
            found.append(self.location())
        else:
            self.position += 1
        self.expect(")")
        return found

    def location(self) -> Location:
        name = self.string()
        source = kind = ""
        if self.take("("):
            source, _, kind = self.string().partition("/")
            for token in (":", "0", ":", "0", ")"):
                self.expect(token)
        return Location(source, name, kind)

    # --- attributes -------------------------------------------------------------------------------------------------

    def dictionary(self) -> dict[str, Any]:
        self.expect("{")
        found: dict[str, Any] = {}
        while not self.take("}"):
            key = self.string() if self.tokens[self.position][:1] == '"' else self.next()
            if key in found:
                raise self.error(f"the attribute '{key}' is given twice")
            found[key] = self.attribute() if self.take("=") else True
            self.take(",")
        return found

    def attribute(self) -> Any:
        token = self.tokens[self.position]
        first = token[:1]
        if first == "[":
            self.position += 1
            self.depth += 1
            if self.depth > MAX_NESTING:
                raise self.error(f"lists nest deeper than {MAX_NESTING}")
            items = []
            while not self.take("]"):
                items.append(self.attribute())
                self.take(",")
            self.depth -= 1
            return tuple(items)
        if first == '"':
            return self.string()
        if first == "{":
            self.depth += 1
            if self.depth > MAX_NESTING:
                raise self.error(f"dictionaries nest deeper than {MAX_NESTING}")
            found = self.dictionary()
            self.depth -= 1
            return found
        if token in ("true", "false"):
            self.position += 1
            return token == "true"
        if token in ("dense", "dense_resource"):
            return self.tensor()
        if token in BY_TEXT:
            self.position += 1
            return BY_TEXT[token]
        if token.startswith(("tensor<", "!mm.")):
            return self.type()
        if first.isdigit() or first == "-":
            self.position += 1
            self.expect(":")
            kind = self.next()
            if kind == "f64":
                if token.startswith("0x"):
                    return float(np.uint64(int(token, 16)).view(np.float64))
                return float(token)
            if kind == "i64" and re.fullmatch(r"-?\d+", token):
                return int(token)
            raise self.error("i64 or f64 expected")
        raise self.error("an attribute expected")

    def tensor(self) -> TensorData:
        kind = self.next()
        self.expect("<")
        if kind == "dense_resource":
            key = self.string() if self.tokens[self.position][:1] == '"' else self.next()
            elements: list[str] = []
        else:
            key, elements, start = "", [], self.position
            depth = 0
            while not (depth == 0 and self.tokens[self.position] == ">"):
                token = self.next()
                depth += (token in "[(") - (token in ")]")
                if token not in ("[", "]", ",", "(", ")"):
                    elements.append(token)
                if len(elements) > 1_000_000:
                    self.position = start
                    raise self.error("a dense constant of over a million elements")
        self.expect(">")
        self.expect(":")
        type_ = self.type()
        if not isinstance(type_, TensorType) or not type_.is_static:
            raise self.error("a constant needs a static tensor type")
        shape: tuple[int, ...] = tuple(type_.shape or ())  # type: ignore[arg-type]
        if key:
            return self.resource(key, type_.dtype, shape)
        count = prod(shape) * (2 if type_.dtype.kind == "complex" else 1)
        if len(elements) != count:
            raise self.error(f"{count} elements expected, {len(elements)} given")
        return TensorData.of(_elements(elements, type_.dtype).reshape(shape))

    def resource(self, key: str, dtype: DType, shape: tuple[int, ...]) -> TensorData:
        data = self.weights.get(key)
        if data is None:

            def missing() -> Array:
                raise ParseError(
                    f"the weight '{key}' stands in the text by key only", remedy="pass it in `weights` to from_text"
                )

            data = self.weights[key] = TensorData(dtype, shape, missing, key=key)
        if (data.dtype, data.shape) != (dtype, shape):
            raise self.error(f"the weight '{key}' is {data.dtype}{list(data.shape)}")
        if data.key != key:
            handle = data
            data = self.weights[key] = TensorData(dtype, shape, handle.numpy, key=key)
        return data


def _hint(name: str) -> str:
    return "" if name[1:].isdigit() else name[1:]


def _unquote(token: str) -> str:
    def character(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code, 16)) if len(code) == 2 else {"n": "\n", "t": "\t"}.get(code, code)

    return re.sub(r"\\([0-9A-Fa-f]{2}|.)", character, token[1:-1])


def _elements(tokens: list[str], dtype: DType) -> Array:
    try:
        if dtype.kind == "bool":
            return np.array([{"true": True, "false": False}[token] for token in tokens], bool)
        if dtype.kind == "string":
            return np.array([_unquote(token) for token in tokens] + [None], object)[:-1]
        if dtype.is_integer:
            wide = np.uint64 if dtype is BY_TEXT["ui64"] else np.int64
            return np.array([int(token) for token in tokens], wide).astype(dtype.numpy)
        if dtype.kind == "complex":
            numbers = [_float64(token) for token in tokens]
            return np.array([complex(*pair) for pair in zip(numbers[::2], numbers[1::2])], dtype.numpy)
        return np.concatenate([_element(token, dtype) for token in tokens] or [np.empty(0, dtype.numpy)])
    except (ValueError, KeyError, OverflowError) as error:
        raise ParseError(f"an element does not fit {dtype}: {error}") from None


def _float64(token: str) -> float:
    return float(np.uint64(int(token, 16)).view(np.float64)) if token.startswith("0x") else float(token)


def _element(token: str, dtype: DType) -> Array:
    if token.startswith("0x"):
        return np.frombuffer(bytes.fromhex(token[2:])[::-1], dtype.numpy)
    return np.array([float(token)]).astype(dtype.numpy)
