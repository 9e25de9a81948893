"""The hooks: an event goes in, everybody who listens is told. pluggy carries them.

A hook plugin is any object (module, instance) with methods of these names marked `@hookimpl`, offered under
the entry-point group `mm.hooks`. A method takes the arguments it wants by name and may leave out the others.
Hooks observe or extend what they are handed; they never select, and what they return is ignored. An
exception in a hook ends the operation that called it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

    from mm_core.build import BuilderConfig
    from mm_core.compiler import Executable
    from mm_core.ir import Network
    from mm_core.model import Model
    from mm_core.passes import Pass, PassResult
    from mm_core.runtime import Engine

PROJECT = "mm"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class HookSpecifications:
    """Every event of mm, in the order in which a model meets them."""

    @hookspec
    def mm_command_line(self, command: click.Command) -> None:
        """A command (`command.name` is mm_build, mm_run or mm_plugins) is put together; add options to it."""

    @hookspec
    def mm_pipeline_assembled(self, pipeline: list[Pass], config: BuilderConfig) -> None:
        """The high-level passes of a build are chosen and ordered; insert into the list or append to it."""

    @hookspec
    def mm_pass_about_to_run(self, instance: Pass, network: Network) -> None:
        """A pass is about to change `network`."""

    @hookspec
    def mm_pass_finished(self, instance: Pass, network: Network, result: PassResult, seconds: float) -> None:
        """A pass has run and `network` has been verified; `seconds` is wall time of the pass alone."""

    @hookspec
    def mm_part_compiled(self, backend: str, part: Any, executable: Executable, seconds: float) -> None:
        """A backend has turned one part of the network into an executable."""

    @hookspec
    def mm_model_packed(self, model: Model) -> None:
        """A build is complete: plan, weights and executables are in `model`."""

    @hookspec
    def mm_engine_created(self, engine: Engine) -> None:
        """A model is loaded on its devices and ready for requests."""

    @hookspec
    def mm_request_finished(self, engine: Engine, seconds: float, error: BaseException | None) -> None:
        """One request has ended; `seconds` from submission to result, `error` is None if it succeeded.

        Called on the thread that finished the request: be quick.
        """
