"""The conformance kit: every device primitive, on every element type, run by a backend and compared with the reference.

Each case ends in exactly one verdict: NATIVE (the backend ran it and was right), FALLBACK (right, but by the numpy
reference behind the scenes), REJECTED (the backend refused, with a reason), or WRONG: another result, or an error
after the backend had accepted. In tests, by the fixture of the same name:

    @pytest.mark.parametrize("op", operator_names())
    def test_conformance(conformance, op):
        assert not conformance("acme", op).wrong
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mm_core.build import Builder, BuilderConfig
from mm_core.errors import BuildError
from mm_core.ir import Network, Value
from mm_core.model.report import FALLBACK
from mm_core.ops import OpDef, lookup
from mm_core.testing.opcheck import TOLERANCES, OpcheckError, assert_close
from mm_core.testing.specimens import Fixed, Form, device_primitives, dtypes_of, forms_of
from mm_core.testing.verdict import Verdict
from mm_core.types import DType, as_dtype

BATCH = "N"
"""The symbol that replaces the first size of the operands in symbolic cases."""
SYMBOLIC_TYPE = "float32"
"""The element type whose cases are run with a symbolic first size too."""
GIVEN = (Verdict.NATIVE, Verdict.FALLBACK, Verdict.REJECTED, Verdict.WRONG)
"""The verdicts of the kit: it runs in one process, in which errors after acceptance are WRONG."""


@dataclass(frozen=True, slots=True)
class Case:
    """One call of an operator. `dtype` is the element type that the cases of the operator vary."""

    definition: OpDef
    dtype: DType
    form: Form
    symbolic: bool = False

    @property
    def family(self) -> str:
        """The module that defines the operator."""
        return type(self.definition).__module__.rpartition(".")[2]

    def __str__(self) -> str:
        operands = ", ".join(map(_describe, self.form.inputs))
        attributes = "".join(f", {name}={value}" for name, value in self.form.attributes.items())
        return f"{self.definition.name}({operands}{attributes}){' symbolic' if self.symbolic else ''}"

    @property
    def batch(self) -> int:
        """The size that is a symbol in symbolic cases: the first of the first operand that has one, if above 1."""
        sizes = (x.shape[0] for x in self.form.inputs if isinstance(x, np.ndarray) and x.ndim)
        size = next(sizes, 0)
        return size if size > 1 else 0

    def network(self) -> tuple[Network, dict[str, Any]]:
        """The operator alone in a network, and the network's inputs."""
        network, inputs = Network("case"), {}
        operands: list[Value | None] = []
        for number, given in enumerate(self.form.inputs):
            if given is None:
                operands.append(None)
            elif isinstance(given, Fixed):
                operands.append(network.constant(given.array))
            else:
                name, shape = f"x{number}", list(given.shape)
                if self.symbolic and shape and shape[0] == self.batch:
                    shape[0] = BATCH
                operands.append(network.add_input(name, as_dtype(given.dtype), shape))
                inputs[name] = given
        built = network.op(self.definition.name, *operands, **self.form.attributes)
        for index, value in enumerate(built if isinstance(built, tuple) else (built,)):
            network.mark_output(value, f"y{index}")
        return network, inputs

    def expected(self) -> tuple[Any, ...]:
        """What the operator's reference gives."""
        arrays = [given.array if isinstance(given, Fixed) else given for given in self.form.inputs]
        arrays += [None] * (len(self.definition.operands) - len(arrays))
        with np.errstate(all="ignore"):
            found = self.definition.reference(*arrays, **self.definition.normalize_attributes(self.form.attributes))
        return found if isinstance(found, tuple) else (found,)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on a case; `reason` says why it was refused, or what was wrong."""

    case: Case
    verdict: Verdict
    reason: str = ""

    def __str__(self) -> str:
        return f"{self.verdict.value}: {self.case}: {self.reason}"


@dataclass(frozen=True)
class Report:
    """The outcomes of one backend."""

    backend: str
    outcomes: tuple[Outcome, ...]

    def having(self, verdict: Verdict) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.verdict is verdict]

    @property
    def wrong(self) -> list[Outcome]:
        return self.having(Verdict.WRONG)

    def by_family(self) -> Mapping[str, Counter[Verdict]]:
        """Numbers of verdicts for each family of operators."""
        counts: dict[str, Counter[Verdict]] = {}
        for outcome in self.outcomes:
            counts.setdefault(outcome.case.family, Counter())[outcome.verdict] += 1
        return counts

    def operators(self, verdict: Verdict) -> set[str]:
        """Operators with at least one such verdict."""
        return {outcome.case.definition.name for outcome in self.having(verdict)}

    def __str__(self) -> str:
        lines = [f"{self.backend:<16}" + "".join(f"{verdict.value:>10}" for verdict in GIVEN)]
        rows = {**self.by_family(), "all": Counter(outcome.verdict for outcome in self.outcomes)}
        lines += [f"{name:<16}" + "".join(f"{row[verdict]:>10}" for verdict in GIVEN) for name, row in rows.items()]
        return "\n".join([*lines, *map(str, self.wrong)])


def operator_names() -> list[str]:
    """The operators that have cases: the device primitives of the dialect `mm`."""
    return [definition.name for definition in device_primitives()]


def cases(op: str, dtypes: Iterable[DType] | None = None) -> Iterator[Case]:
    """The cases of an operator, on all its element types or those given."""
    definition = lookup(op)
    wanted = None if dtypes is None else set(dtypes)
    for dtype in dtypes_of(definition):
        if wanted is not None and dtype not in wanted:
            continue
        for form in forms_of(definition, dtype):
            case = Case(definition, dtype, form)
            yield case
            if dtype.name == SYMBOLIC_TYPE and case.batch:
                yield replace(case, symbolic=True)


def conform(
    backend: str,
    *ops: str,
    dtypes: Iterable[DType] | None = None,
    tolerances: Mapping[str, float] = TOLERANCES,
    **options: Any,
) -> Report:
    """Run the cases of the operators (default: all) on a backend; `options` are those of BuilderConfig.

    `tolerances` are relative and absolute, by the result's element type; what is not named must be equal.
    """
    config = BuilderConfig(backends=[backend], **{"passes": "", **options})
    kept = None if dtypes is None else tuple(dtypes)
    found = [judge(case, config, tolerances) for op in ops or operator_names() for case in cases(op, kept)]
    return Report(backend, tuple(found))


def judge(case: Case, config: BuilderConfig, tolerances: Mapping[str, float] = TOLERANCES) -> Outcome:
    """Build and run one case on the first backend of a configuration."""
    network, inputs = case.network()
    wanted = config.backends[0]
    try:
        model = Builder(config).build(network)
    except BuildError as error:
        return Outcome(case, Verdict.REJECTED, str(error))
    except Exception as error:  # the code of a backend may fail in any way: that is the finding
        return Outcome(case, Verdict.WRONG, f"accepted, then {type(error).__name__}: {error}")
    records = model.report.placement
    elsewhere = [record for record in records if record.device != wanted]
    if elsewhere:
        return Outcome(case, Verdict.REJECTED, elsewhere[0].reason)
    try:
        results = model.create_engine().create_context().run(inputs)
        _compare(case.expected(), list(results.values()), tolerances)
    except OpcheckError as error:
        return Outcome(case, Verdict.WRONG, str(error))
    except Exception as error:
        return Outcome(case, Verdict.WRONG, f"built, then {type(error).__name__}: {error}")
    fallback = any(record.kind == FALLBACK for record in records)
    return Outcome(case, Verdict.FALLBACK if fallback else Verdict.NATIVE)


def _compare(expected: Sequence[Any], results: Sequence[Any], tolerances: Mapping[str, float]) -> None:
    for index, (wanted, found) in enumerate(zip(expected, results, strict=True)):
        tolerance = tolerances.get(as_dtype(np.asarray(wanted).dtype).name, 0.0)
        assert_close(found, wanted, f"result {index} and the reference differ", tolerance)


def _describe(given: Any) -> str:
    if given is None:
        return "-"
    array = given.array if isinstance(given, Fixed) else given
    text = f"{as_dtype(array.dtype).text}{list(array.shape)}"
    return f"constant {text}" if isinstance(given, Fixed) else text


__all__ = ["Case", "Outcome", "Report", "Verdict", "cases", "conform", "judge", "operator_names"]
