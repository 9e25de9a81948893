"""Backends of ours in the harness: parse, build, save; in another process, closed: load and run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mm_core.errors import BuildError
from mm_core.plugins import find
from mm_core.testing.case import Case
from mm_core.testing.engine import Built, Engine
from mm_core.testing.isolation import close_imports

if TYPE_CHECKING:
    from mm_core.ir import Network
    from mm_core.model import Model

FILE = "case.mm"


@dataclass(frozen=True)
class BackendEngine(Engine):
    """One backend alone, or with those `beside` it, strict: what needs an operator's numpy reference is not run.

    Models are run from their files where only the core and the backends can be imported. An `oracle` is a backend that
    *is* the references: for it nothing is a fallback, and it may import operator packages.
    """

    backend: str
    oracle: bool = False
    beside: tuple[str, ...] = ()
    """Backends that take what the first one does not."""

    @property
    def name(self) -> str:
        return "+".join((self.backend, *self.beside))

    def version(self) -> str:
        return find("mm.backends", self.backend).version

    def isolate(self) -> None:
        if not self.oracle:
            close_imports(self.backend, *self.beside)

    def network(self, case: Case, form: str) -> Network:
        from mm_core.parsing import parse

        return parse(case.source)

    def check(self, model: Model, case: Case, network: Network) -> None:
        """A place for further checks of what was built; WrongResult if one fails."""

    def build(self, case: Case, form: str, folder: Path) -> Built:
        from mm_core.build import Builder, BuilderConfig
        from mm_core.model.report import FALLBACK

        network = self.network(case, form)
        config = BuilderConfig(backends=[self.backend, *self.beside], strict=not self.oracle, threads=1)
        try:
            model = Builder(config).build(network)
        except BuildError as error:
            if self.oracle:
                raise
            Builder(config.with_options(strict=False)).build(network)  # raises again if numpy cannot help either
            return Built(None, fallback=str(error))
        self.check(model, case, network)
        numpy = [record for record in model.report.placement if record.kind == FALLBACK]
        if numpy and not self.oracle:
            return Built(None, fallback=f"{numpy[0].node}: {numpy[0].op} runs in numpy")
        path = folder / FILE
        model.save(path)
        return Built(str(path))

    def run(self, built: Built, inputs: tuple[Mapping[str, Any], ...]) -> list[dict[str, Any]]:
        from mm_core.model import Model

        context = Model.load(built.artifact).create_engine(threads=1).create_context()
        return [context.run(values) for values in inputs]


@dataclass(frozen=True)
class SymbolicEngine(BackendEngine):
    """The same with every dimension of the inputs a symbol of its own; the model must keep them to the end.

    Where that is refused, two kinds of sizes that mean something by themselves stay: a size of one, which says that a
    tensor is broadcast, and the length of a vector of integers, which may be the rank of a result.
    """

    @property
    def name(self) -> str:
        return f"{self.backend}-symbolic"

    def takes(self, case: Case) -> bool:
        return bool(case.sized_inputs())

    def forms(self, case: Case) -> tuple[str, ...]:
        from mm_core.testing.symbolic import forms

        return forms(case)

    def network(self, case: Case, form: str) -> Network:
        from mm_core.testing.symbolic import freed

        return freed(case, form)

    def check(self, model: Model, case: Case, network: Network) -> None:
        from mm_core.testing.symbolic import check_symbolic

        check_symbolic(model, case, network)
