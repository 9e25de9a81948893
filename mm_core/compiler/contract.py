"""The compile half of a backend: what it supports, and ordered stages from a part of a network to an executable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from mm_core.errors import CompileError, MMError
from mm_core.ir import Network, Operation
from mm_core.model.executable import Executable


@dataclass(frozen=True, slots=True)
class Yes:
    """The backend runs the operation. `fallback` marks one that calls a numpy reference behind the scenes."""

    fallback: bool = False


@dataclass(frozen=True, slots=True)
class No:
    """The backend refuses, and says why in one clause that a user understands."""

    reason: str


Support = Yes | No


@dataclass(frozen=True)
class CompileContext:
    """What a compiler may ask while it works.

    `threads` is the number of threads to plan for (None: decide when running), `dump` receives each stage's artefact
    when a folder for them was asked for, `dim_range` gives the least and largest value of symbols.
    """

    opt_level: int = 2
    threads: int | None = None
    dim_range: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    dump_folder: Path | None = None
    part_name: str = "part0"
    progress: Callable[[str], None] | None = None

    def dump(self, stage: str, artefact: object) -> None:
        """Keep a stage's artefact as `<part>.<stage>.<txt|bin>`."""
        if self.dump_folder is None:
            return
        stem = self.dump_folder / f"{self.part_name}.{stage}"
        if isinstance(artefact, bytes):
            stem.with_suffix(stem.suffix + ".bin").write_bytes(artefact)
        else:
            stem.with_suffix(stem.suffix + ".txt").write_text(str(artefact), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of a compiler: takes the previous artefact, gives the next. The first takes the part's Network."""

    name: str
    run: Callable[[Any, CompileContext], Any]


class Compiler(ABC):
    """One backend's compiler for one target.

    What `supports` accepts, `compile` may not refuse. Both should read the same kernel and lowering tables.
    """

    backend: ClassVar[str]

    @abstractmethod
    def supports(self, operation: Operation) -> Support:
        """Whether the backend runs this operation, which may be a composite or `mm.fused`, as it stands."""

    @property
    @abstractmethod
    def stages(self) -> Sequence[Stage]:
        """The steps in order; the last one gives an Executable."""

    def compile(self, part: Network, context: CompileContext) -> Executable:
        """Run all stages over a part: a network whose operations `supports` accepted."""
        artefact: Any = part
        for stage in self.stages:
            try:
                artefact = stage.run(artefact, context)
            except MMError as error:
                raise error.located(f"{self.backend} compiler, stage {stage.name}, {context.part_name}") from None
            context.dump(stage.name, artefact.code if isinstance(artefact, Executable) else artefact)
        if not isinstance(artefact, Executable):
            raise CompileError(f"the last stage of the {self.backend} compiler gave no executable")
        return artefact
