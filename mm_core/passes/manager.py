"""Running passes: in order, verified, timed, told to listeners, and leaving a reproducer where one fails."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mm_core import plugins
from mm_core.errors import MMError, PassError
from mm_core.ir import Network
from mm_core.passes.base import Pass, PassContext, PassResult
from mm_core.passes.options import print_pass, print_pipeline
from mm_core.passes.reproducer import save_reproducer


@dataclass(frozen=True, slots=True)
class Instrumentation:
    """What to write beside the work. `print_ir`: a folder for the text before the first pass and after each that
    changed something. `reproducer`: a folder where a failing pass leaves its input and the rest of the pipeline."""

    print_ir: Path | None = None
    reproducer: Path | None = None


@dataclass(frozen=True, slots=True)
class PassRecord:
    """One pass that ran: its text with options, what it did, and its wall time in seconds without verification."""

    text: str
    result: PassResult
    seconds: float
    operations: int


class PassManager:
    """A pipeline. `str(manager)` is its text, `parse_pipeline` the inverse.

    After each `run`, `records` says what every pass did. `skipped` are plugins that were left out, with reasons.
    """

    def __init__(
        self,
        passes: Iterable[Pass],
        *,
        verify: bool = True,
        instrumentation: Instrumentation | None = None,
        skipped: Iterable[str] = (),
    ) -> None:
        self.passes = list(passes)
        self.verify = verify
        self.instrumentation = instrumentation or Instrumentation()
        self.skipped = tuple(skipped)
        self.records: list[PassRecord] = []

    def __str__(self) -> str:
        return print_pipeline(self.passes)

    def __iter__(self) -> Iterator[Pass]:
        return iter(self.passes)

    def __len__(self) -> int:
        return len(self.passes)

    def run(self, network: Network, context: PassContext | None = None) -> PassResult:
        """Run all passes on the network, in place. PassError names the pass that failed.

        The result's counts are by `pass: what`, its notes those of all passes.
        """
        context = context or PassContext()
        self.records = []
        self._print(network, 0, "input")
        for index, instance in enumerate(self.passes):
            if context.progress is not None:
                context.progress(index, len(self.passes), instance.name)
            record = self._run_one(index, instance, network, context)
            self.records.append(record)
            if record.result.changed:
                self._print(network, index + 1, instance.name)
        if context.progress is not None:
            context.progress(len(self.passes), len(self.passes), "")
        counts: dict[str, int] = {}
        for record in self.records:
            for what, count in record.result.counts.items():
                key = f"{record.text}: {what}"
                counts[key] = counts.get(key, 0) + count
        return PassResult(
            any(record.result.changed for record in self.records),
            counts,
            tuple(note for record in self.records for note in record.result.notes),
        )

    def _run_one(self, index: int, instance: Pass, network: Network, context: PassContext) -> PassRecord:
        relay = plugins.hooks()
        keep = network.clone() if self.instrumentation.reproducer is not None else None
        relay.mm_pass_about_to_run(instance=instance, network=network)
        start = time.perf_counter()
        try:
            result = instance.run(network, context)
            seconds = time.perf_counter() - start
            if self.verify:
                self._verify(instance, network)
        except MMError as error:
            raise self._failure(index, keep, error) from error
        except Exception as error:  # whatever a plugin does wrong, the user is told which plugin it was
            internal = PassError(f"internal error {type(error).__name__}: {error}")
            raise self._failure(index, keep, internal) from error
        relay.mm_pass_finished(instance=instance, network=network, result=result, seconds=seconds)
        return PassRecord(print_pass(instance), result, seconds, len(network))

    def _verify(self, instance: Pass, network: Network) -> None:
        try:
            network.verify()
        except MMError as error:
            raise PassError(f"it left an invalid network: {error.what}", where=error.where) from error

    def _failure(self, index: int, network: Network | None, error: MMError) -> PassError:
        name = print_pass(self.passes[index])
        folder = self.instrumentation.reproducer
        if network is None or folder is None:
            remedy = (
                f"leave it out with disable_passes=['{self.passes[index].name}'], and report it with what a build "
                "with print_ir=FOLDER leaves there"
            )
        else:
            path = save_reproducer(folder, network, print_pipeline(self.passes[index:]))
            remedy = f"the network that it got and the pipeline are in {path}"
        what = f"the pass '{name}' failed: {error.what}"
        return PassError(what, where=error.where, available=error.available, remedy=remedy)

    def _print(self, network: Network, index: int, name: str) -> None:
        folder = self.instrumentation.print_ir
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{index:02d}-{name}.mlir").write_text(str(network) + "\n", encoding="utf-8")
