"""Committed lists of the cases that an engine does not pass: one line a case, with the verdict and the reason.

    [cpu]
    test_bernoulli = "random: a stream that no specification fixes"
    test_image_decoder_decode_jpeg_rgb = "rejected: decoders of images are an operator package's"

A table for each engine. `random` stands for results that are right by chance only: such a case may end as `wrong` or
`native`. Any other listed case that is native is an error; so is one that ends in another verdict, and one that does
not exist. A crash or a time-out cannot be listed.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mm_core.errors import MMError
from mm_core.testing.harness import Outcome
from mm_core.testing.verdict import Verdict

RANDOM = "random"
UNEXPLAINED = "unexplained:"
"""Begins a reason that a command wrote: somebody has to find the true one."""
LISTABLE = (Verdict.FALLBACK, Verdict.REJECTED, Verdict.WRONG)
_VERDICTS = {verdict.value: frozenset({verdict}) for verdict in LISTABLE} | {
    RANDOM: frozenset({Verdict.WRONG, Verdict.NATIVE})
}


@dataclass(frozen=True, slots=True)
class Expected:
    """One line of a list."""

    verdict: str
    reason: str

    def __str__(self) -> str:
        return f"{self.verdict}: {self.reason}"


class Exceptions(Mapping[str, Expected]):
    """The lines for one engine, by case."""

    def __init__(self, engine: str, lines: Mapping[str, Expected]) -> None:
        self.engine = engine
        self._lines = dict(lines)

    @classmethod
    def read(cls, path: Path, engine: str) -> Exceptions:
        """An engine's table in a file; empty if it has none. MMError for a line that is not `verdict: reason`."""
        tables = read_tables(path)
        return cls(engine, {case: _expected(text, case, path) for case, text in tables.get(engine, {}).items()})

    def problem(self, outcome: Outcome) -> str:
        """What is not as the list says; empty if all is."""
        expected = self.get(outcome.case)
        if expected is None:
            return "" if outcome.verdict is Verdict.NATIVE else f"{outcome}"
        if outcome.verdict in _VERDICTS[expected.verdict]:
            return ""
        if outcome.verdict is Verdict.NATIVE:
            return f"{outcome.case}: native, but listed as {expected}; take the line out"
        return f"{outcome}; listed as {expected}"

    def unknown(self, cases: Iterable[str]) -> list[str]:
        """Listed cases that do not exist."""
        return sorted(self.keys() - set(cases))

    def __getitem__(self, case: str) -> Expected:
        return self._lines[case]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)


def read_tables(path: Path) -> dict[str, dict[str, str]]:
    """The tables of a file as they stand; none if there is no file."""
    return tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def write_tables(path: Path, tables: Mapping[str, Mapping[str, str]]) -> None:
    """The file with these tables, its lines sorted by reason, then by case."""
    pieces = []
    for engine, lines in tables.items():
        ordered = sorted(lines.items(), key=lambda line: (line[1], line[0]))
        body = "\n".join(f"{_key(case)} = {json.dumps(text, ensure_ascii=False)}" for case, text in ordered)
        pieces.append(f"[{json.dumps(engine)}]\n{body}\n")
    path.write_text("\n".join(pieces), encoding="utf-8")


def _key(case: str) -> str:
    return case if case.replace("_", "").replace("-", "").isalnum() and case.isascii() else json.dumps(case)


def _expected(text: str, case: str, path: Path) -> Expected:
    verdict, _, reason = text.partition(": ")
    if verdict not in _VERDICTS or not reason.strip():
        raise MMError(
            f"{text!r} is not 'verdict: reason'", where=f"{path.name}, {case}", available=", ".join(sorted(_VERDICTS))
        )
    return Expected(verdict, reason.strip())
