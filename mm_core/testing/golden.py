"""Golden files for passes: a network, what passes make of it, and a check that both mean the same.

    // passes: simplify
    // tolerance: 0
    // nan: yes
    "mm.network"() ({ ... the network before
    // -----
    "mm.network"() ({ ... and after

Set MM_UPDATE_GOLDEN=1 to write the second half anew, then read the difference before you commit it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from mm_core.errors import VerifyError
from mm_core.ir import Network
from mm_core.testing.passcheck import passcheck

_DIVIDER = "// -----"
UPDATE = "MM_UPDATE_GOLDEN"


@dataclass(frozen=True, slots=True)
class GoldenCase:
    """One file, read."""

    pipeline: str
    tolerance: float
    nan: bool
    before: str
    after: str


def read_case(path: Path) -> GoldenCase:
    """The parts of a golden file. VerifyError if it names no passes."""
    first, _, second = path.read_text(encoding="utf-8").partition(_DIVIDER + "\n")
    head = [line[2:].partition(":") for line in first.splitlines() if line.startswith("//")]
    settings = {key.strip(): value.strip() for key, _, value in head}
    if "passes" not in settings:
        raise VerifyError("a golden file begins with '// passes: ...'", where=str(path))
    before = "\n".join(line for line in first.splitlines() if not line.startswith("//"))
    tolerance, nan = float(settings.get("tolerance", 0)), settings.get("nan", "yes") == "yes"
    return GoldenCase(settings["passes"], tolerance, nan, before.strip(), second.strip())


def write_case(path: Path, case: GoldenCase) -> None:
    nan = "yes" if case.nan else "no"
    head = f"// passes: {case.pipeline}\n// tolerance: {case.tolerance:g}\n// nan: {nan}\n"
    path.write_text(f"{head}{case.before}\n{_DIVIDER}\n{case.after}\n", encoding="utf-8")


def check_golden(path: Path) -> None:
    """Run a golden file. VerifyError if the passes give another text, or another result."""
    case = read_case(path)
    network = Network.from_text(case.before)
    passcheck(case.pipeline, network, case.tolerance, nan=case.nan)
    found = str(network).strip()
    if os.environ.get(UPDATE):
        write_case(path, replace(case, after=found))
    elif found != case.after:
        raise VerifyError(
            f"'{case.pipeline}' gives another network:\n{found}", where=path.name, remedy=f"{UPDATE}=1 accepts it"
        )
