"""Dimensions: integers, or expressions over named sizes that are known only while running.

A `SymDim` is a polynomial with integer coefficients over *atoms*; an atom is a symbol or a call of floordiv, mod, min
or max. Polynomials are kept in one normal form, so equal expressions compare and print equal. Arithmetic whose result
is constant gives a plain int. Symbols stand for sizes: non-negative integers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache

from mm_core.errors import InputError

MAX_DIM_TEXT = 4096
_MAX_NESTING = 50
_MAX_CALLS_DEEP = 40
_MAX_PRODUCTS = 1 << 14
"""Of terms that one multiplication makes. Without bounds a few operations of a hostile model fill the memory."""


class _Call:
    """A function of dimensions that is not a polynomial: one atom of a normal form."""

    __slots__ = ("arguments", "depth", "function", "text")

    def __init__(self, function: str, arguments: tuple[Dim, ...]) -> None:
        self.function = function
        self.arguments = arguments
        self.depth = 1 + max(map(_calls_deep, arguments))
        self.text = f"{function}({', '.join(map(str, arguments))})"
        if self.depth > _MAX_CALLS_DEEP:
            raise _too_large(f"the expression of a dimension nests deeper than {_MAX_CALLS_DEEP} calls")


Atom = str | _Call
Monomial = tuple[Atom, ...]


def _atom_text(atom: Atom) -> str:
    return atom if isinstance(atom, str) else atom.text


def _monomial_key(monomial: Monomial) -> tuple[int, tuple[str, ...]]:
    return -len(monomial), tuple(map(_atom_text, monomial))


def _calls_deep(dim: Dim) -> int:
    atoms = (atom for monomial, _ in _terms(dim) for atom in monomial)
    return max((atom.depth for atom in atoms if isinstance(atom, _Call)), default=0)


def _too_large(what: str) -> InputError:
    return InputError(what, remedy="name the size by a symbol of its own")


class SymDim:
    """A dimension that depends on at least one symbol. Make one with `symbol`, `parse_dim` or arithmetic."""

    __slots__ = ("terms", "text")

    def __init__(self, terms: tuple[tuple[Monomial, int], ...]) -> None:
        self.terms = terms
        self.text = _print(terms)
        if len(self.text) > MAX_DIM_TEXT:
            raise _too_large(f"the expression of a dimension has {len(self.text)} characters, beyond {MAX_DIM_TEXT}")

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"SymDim({self.text})"

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SymDim) and self.text == other.text

    def __reduce__(self) -> tuple[object, ...]:
        return parse_dim, (self.text,)

    def __add__(self, other: Dim) -> Dim:
        if not _is_dim(other):
            return NotImplemented
        terms = {_monomial_key(m): (m, c) for m, c in self.terms}
        for monomial, coefficient in _terms(other):
            key = _monomial_key(monomial)
            terms[key] = (monomial, coefficient + (terms[key][1] if key in terms else 0))
        return _from_terms(terms)

    __radd__ = __add__

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        if not _is_dim(other):
            return NotImplemented
        return self + other * -1

    def __rsub__(self, other: Dim) -> Dim:
        return self * -1 + other

    def __mul__(self, other: Dim) -> Dim:
        if not _is_dim(other):
            return NotImplemented
        if len(self.terms) * len(_terms(other)) > _MAX_PRODUCTS:
            raise _too_large("a product of dimensions has too many terms")
        terms: dict[tuple[int, tuple[str, ...]], tuple[Monomial, int]] = {}
        for left, left_coefficient in self.terms:
            for right, right_coefficient in _terms(other):
                monomial = tuple(sorted(left + right, key=_atom_text))
                key = _monomial_key(monomial)
                before = terms[key][1] if key in terms else 0
                terms[key] = (monomial, before + left_coefficient * right_coefficient)
        return _from_terms(terms)

    __rmul__ = __mul__

    def __floordiv__(self, other: Dim) -> Dim:
        return floordiv(self, other) if _is_dim(other) else NotImplemented

    def __rfloordiv__(self, other: Dim) -> Dim:
        return floordiv(other, self) if _is_dim(other) else NotImplemented

    def __mod__(self, other: Dim) -> Dim:
        return mod(self, other) if _is_dim(other) else NotImplemented

    def __rmod__(self, other: Dim) -> Dim:
        return mod(other, self) if _is_dim(other) else NotImplemented


Dim = int | SymDim


def _is_dim(value: object) -> bool:
    return isinstance(value, (int, SymDim))


def _terms(dim: Dim) -> tuple[tuple[Monomial, int], ...]:
    if isinstance(dim, SymDim):
        return dim.terms
    return (((), int(dim)),) if dim else ()


def _from_terms(terms: Mapping[tuple[int, tuple[str, ...]], tuple[Monomial, int]]) -> Dim:
    kept = tuple(terms[key] for key in sorted(terms) if terms[key][1])
    if not kept:
        return 0
    if len(kept) == 1 and not kept[0][0]:
        return kept[0][1]
    return SymDim(kept)


def _sum(terms: list[tuple[Monomial, int]]) -> Dim:
    return _from_terms({_monomial_key(monomial): (monomial, c) for monomial, c in terms})


def _print(terms: tuple[tuple[Monomial, int], ...]) -> str:
    pieces = []
    for monomial, coefficient in terms:
        factors = list(map(_atom_text, monomial))
        if abs(coefficient) != 1 or not factors:
            factors.insert(0, str(abs(coefficient)))
        sign = "-" if coefficient < 0 else "+"
        pieces.append(f"{sign} {'*'.join(factors)}")
    text = " ".join(pieces)
    return text[2:] if text.startswith("+ ") else "-" + text[2:]


@lru_cache(maxsize=4096)
def symbol(name: str) -> SymDim:
    """The dimension called `name`: letters, digits, `_` and `.`, not starting with a digit."""
    if not _SYMBOL.fullmatch(name):
        raise InputError(f"{name!r} is not a dimension's name", remedy="use letters, digits, '_' and '.'")
    return SymDim((((name,), 1),))


def _exact_quotient(dividend: Dim, divisor: Dim) -> Dim | None:
    """dividend / divisor if that is a polynomial found by dividing term by term by one monomial, or by equality."""
    if dividend == divisor:
        return 1
    divisor_terms = _terms(divisor)
    if len(divisor_terms) != 1:
        return None
    (divisor_monomial, divisor_coefficient), quotient = divisor_terms[0], []
    for monomial, coefficient in _terms(dividend):
        rest = list(monomial)
        texts = list(map(_atom_text, rest))
        for atom in divisor_monomial:
            if _atom_text(atom) not in texts:
                return None
            position = texts.index(_atom_text(atom))
            del rest[position], texts[position]
        if coefficient % divisor_coefficient:
            return None
        quotient.append((tuple(rest), coefficient // divisor_coefficient))
    return _sum(quotient)


def _split_multiple(dividend: Dim, divisor: int) -> tuple[Dim, Dim]:
    """(q, r) with dividend = q * divisor + r, r holding only what no coefficient divides."""
    whole, rest = [], []
    for monomial, coefficient in _terms(dividend):
        whole.append((monomial, coefficient // divisor))
        rest.append((monomial, coefficient % divisor))
    return _sum(whole), _sum(rest)


def floordiv(dividend: Dim, divisor: Dim) -> Dim:
    """dividend // divisor, rounding towards minus infinity. A constant zero divisor is an InputError."""
    if isinstance(divisor, int):
        if divisor == 0:
            raise InputError("a dimension is divided by zero")
        if isinstance(dividend, int):
            return dividend // divisor
        if divisor < 0:
            return floordiv(-dividend, -divisor)
        whole, rest = _split_multiple(dividend, divisor)
        if isinstance(rest, int):
            return whole + rest // divisor
        return whole + SymDim((((_Call("floordiv", (rest, divisor)),), 1),))
    exact = _exact_quotient(dividend, divisor)
    return exact if exact is not None else SymDim((((_Call("floordiv", (dividend, divisor)),), 1),))


def mod(dividend: Dim, divisor: Dim) -> Dim:
    """dividend - divisor * (dividend // divisor): the remainder with the divisor's sign."""
    if isinstance(divisor, int):
        if divisor == 0:
            raise InputError("a dimension is divided by zero")
        if isinstance(dividend, int):
            return dividend % divisor
        if divisor > 0:
            _, rest = _split_multiple(dividend, divisor)
            if isinstance(rest, int):
                return rest % divisor
            return SymDim((((_Call("mod", (rest, divisor)),), 1),))
    if _exact_quotient(dividend, divisor) is not None:
        return 0
    return SymDim((((_Call("mod", (dividend, divisor)),), 1),))


def ceildiv(dividend: Dim, divisor: Dim) -> Dim:
    """dividend / divisor rounded up."""
    return -floordiv(-dividend, divisor)


def _extreme(function: str, choose: Callable[[int, int], int], dims: tuple[Dim, ...]) -> Dim:
    constant: int | None = None
    symbolic: dict[str, Dim] = {}
    for dim in dims:
        parts = (dim,)
        if isinstance(dim, SymDim) and len(dim.terms) == 1 and dim.terms[0][1] == 1 and len(dim.terms[0][0]) == 1:
            atom = dim.terms[0][0][0]
            if isinstance(atom, _Call) and atom.function == function:
                parts = atom.arguments  # type: ignore[assignment]
        for part in parts:
            if isinstance(part, int):
                constant = part if constant is None else choose(constant, part)
            else:
                symbolic[str(part)] = part
    arguments: list[Dim] = [symbolic[text] for text in sorted(symbolic)]
    if constant is not None and not (function == "max" and constant <= 0 and any(map(is_non_negative, arguments))):
        arguments.append(constant)
    if len(arguments) == 1:
        return arguments[0]
    return SymDim((((_Call(function, tuple(arguments)),), 1),))


def dim_min(*dims: Dim) -> Dim:
    """The smallest of the dimensions."""
    return _extreme("min", min, dims)


def dim_max(*dims: Dim) -> Dim:
    """The largest of the dimensions."""
    return _extreme("max", max, dims)


def is_non_negative(dim: Dim) -> bool:
    """Whether the dimension is provably >= 0, symbols being sizes."""
    if isinstance(dim, int):
        return dim >= 0
    return all(c >= 0 and all(_atom_non_negative(atom) for atom in monomial) for monomial, c in dim.terms)


def _atom_non_negative(atom: Atom) -> bool:
    if isinstance(atom, str):
        return True
    if atom.function == "mod":
        return is_non_negative(atom.arguments[1])
    if atom.function == "max":
        return any(map(is_non_negative, atom.arguments))
    return all(map(is_non_negative, atom.arguments))


def provably_unequal(left: Dim, right: Dim) -> bool:
    """Whether no binding of the symbols makes the two equal, as far as a constant difference shows."""
    difference = left - right
    return isinstance(difference, int) and difference != 0


_FUNCTIONS: dict[str, Callable[..., Dim]] = {
    "floordiv": floordiv,
    "mod": mod,
    "ceildiv": ceildiv,
    "min": dim_min,
    "max": dim_max,
}


def evaluate(dim: Dim, bindings: Mapping[str, Dim]) -> Dim:
    """The dimension with symbols replaced. Symbols that `bindings` lacks stay."""
    if isinstance(dim, int):
        return dim
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        product: Dim = coefficient
        for atom in monomial:
            if isinstance(atom, str):
                product = product * bindings.get(atom, symbol(atom))
            else:
                arguments = [evaluate(argument, bindings) for argument in atom.arguments]
                product = product * _FUNCTIONS[atom.function](*arguments)
        total = total + product
    return total


def evaluate_int(dim: Dim, bindings: Mapping[str, Dim]) -> int:
    """The integer value of a dimension; an unbound symbol is an InputError that names it."""
    value = evaluate(dim, bindings)
    if isinstance(value, int):
        return value
    raise InputError(
        f"the size {dim} is not known: {', '.join(sorted(symbols(value)))} is unbound",
        available=", ".join(sorted(bindings)) or "no symbols",
    )


def symbols(dim: Dim) -> set[str]:
    """Names of the symbols that a dimension depends on."""
    return set(_walk_symbols(dim))


def _walk_symbols(dim: Dim) -> Iterator[str]:
    if isinstance(dim, SymDim):
        for monomial, _ in dim.terms:
            for atom in monomial:
                if isinstance(atom, str):
                    yield atom
                else:
                    for argument in atom.arguments:
                        yield from _walk_symbols(argument)


_SYMBOL = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_TOKEN = re.compile(r"\s*(?:(\d+)|([A-Za-z_][A-Za-z0-9_.]*)|(//|[-+*%(),]))")


def parse_dim(text: str) -> Dim:
    """Read a dimension such as `N`, `2*N + 1` or `floordiv(H, 2)`; the inverse of `str`."""
    return _DimParser(text).parse()


def as_dim(value: object) -> Dim:
    """A dimension from an integer, a SymDim or text."""
    if isinstance(value, SymDim):
        return value
    if isinstance(value, str):
        return parse_dim(value)
    if hasattr(value, "__index__"):
        dim = int(value.__index__())
        if dim < 0:
            raise InputError(f"{dim} is not a dimension", remedy="use a size >= 0, or a name for an unknown one")
        return dim
    raise InputError(f"{value!r} is not a dimension", remedy="use an integer or a name")


class _DimParser:
    """Recursive descent over +, -, *, //, % and calls."""

    def __init__(self, text: str) -> None:
        if len(text) > MAX_DIM_TEXT:
            raise InputError(f"a dimension expression of {len(text)} characters is too long")
        self.text, self.tokens, position = text, list[str](), 0
        stripped = text.rstrip()
        while position < len(stripped):
            match = _TOKEN.match(stripped, position)
            if match is None:
                raise self.error()
            self.tokens.append(match.group().strip())
            position = match.end()
        self.position = self.depth = 0

    def error(self) -> InputError:
        return InputError(f"{self.text!r} is not a dimension", remedy="use names, integers, + - * // % min() max()")

    def parse(self) -> Dim:
        dim = self.sum()
        if self.position != len(self.tokens):
            raise self.error()
        return dim

    def take(self, *choices: str) -> str:
        if self.position < len(self.tokens) and self.tokens[self.position] in choices:
            self.position += 1
            return self.tokens[self.position - 1]
        return ""

    def sum(self) -> Dim:
        total = self.product()
        while operator := self.take("+", "-"):
            term = self.product()
            total = total + term if operator == "+" else total - term
        return total

    def product(self) -> Dim:
        result = self.factor()
        while operator := self.take("*", "//", "%"):
            factor = self.factor()
            if operator == "*":
                result = result * factor
            else:
                result = floordiv(result, factor) if operator == "//" else mod(result, factor)
        return result

    def factor(self) -> Dim:
        self.depth += 1
        if self.depth > _MAX_NESTING or self.position >= len(self.tokens):
            raise self.error()
        token = self.tokens[self.position]
        self.position += 1
        dim: Dim
        if token == "-":
            dim = -self.factor()
        elif token == "(":
            dim = self.sum()
            self.expect(")")
        elif token.isdigit():
            dim = int(token)
        elif token in _FUNCTIONS and self.take("("):
            arguments = [self.sum()]
            while self.take(","):
                arguments.append(self.sum())
            self.expect(")")
            if token not in ("min", "max") and len(arguments) != 2:
                raise self.error()
            dim = _FUNCTIONS[token](*arguments)
        elif _SYMBOL.fullmatch(token):
            dim = symbol(token)
        else:
            raise self.error()
        self.depth -= 1
        return dim

    def expect(self, token: str) -> None:
        if not self.take(token):
            raise self.error()
