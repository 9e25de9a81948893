"""`Model`: a compiled network, in memory or in a `.mm` file."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from packaging.requirements import InvalidRequirement, Requirement

from mm_core.errors import InputError, ModelFileError, ParseError, PluginMissingError
from mm_core.model.executable import Executable, KernelRecord
from mm_core.model.plan import Plan
from mm_core.model.plan_check import check_plan
from mm_core.model.report import BuildReport
from mm_core.serial import Container, JsonValue, Section, check_fields, check_list, write_container
from mm_core.serial.strict_json import decode, encode
from mm_core.types import TensorData, TensorSpec, TensorType, parse_type

if TYPE_CHECKING:
    from mm_core.runtime import Engine

FORMAT = 1
_GRAPH = "graph/"


@dataclass(frozen=True)
class Requirements:
    """What running (or building again) needs: distributions as requirements, such as `mm-backend-cpu>=0.1,<0.2`."""

    run: tuple[str, ...] = ()
    build: tuple[str, ...] = ()

    def check(self, where: str) -> None:
        """PluginMissingError with the `pip install` line if a distribution needed to run is absent or too old."""
        from importlib.metadata import PackageNotFoundError, version

        missing = []
        for text in self.run:
            try:
                requirement = Requirement(text)
                if not requirement.specifier.contains(version(requirement.name), prereleases=True):
                    missing.append(f"{text} (installed: {version(requirement.name)})")
            except PackageNotFoundError:
                missing.append(text)
            except InvalidRequirement as error:
                raise ModelFileError(f"a requirement is not valid: {error}", where=where) from error
        if missing:
            raise PluginMissingError(
                f"this model needs {', '.join(missing)}",
                where=where,
                remedy="pip install " + " ".join(f'"{text}"' for text in self.run),
            )


@dataclass(frozen=True)
class Model:
    """A compiled network: plan, executables, constants and what is needed to run them. Immutable.

    `inputs` and `outputs` are in the source's order; symbolic dimensions are bound by each request. `graph_text` and
    `graph_weights` are the network that was built, kept if the configuration asks for it.
    """

    name: str
    inputs: list[TensorSpec]
    outputs: list[TensorSpec]
    plan: Plan
    executables: tuple[Executable, ...]
    constants: tuple[TensorData, ...]
    report: BuildReport
    requires: Requirements = field(default_factory=Requirements)
    dim_range: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    graph_text: str = ""
    source: str = "model"
    graph_weights: Mapping[str, TensorData] = field(default_factory=dict)

    def create_engine(
        self, devices: Sequence[str] | None = None, threads: int | None = None
    ) -> Engine:
        """Load the model onto devices, such as `["cpu:0"]`; one for each backend that runs a part of it.

        None takes the first device of each. One that is named and gets nothing to do is no error, if another one is
        used. `threads` bounds the host threads one request may use (None: all cores).
        """
        from mm_core.runtime import Engine

        return Engine(self, devices, threads)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the model file. It appears whole or not at all."""
        weights = {f"constant/{index}": data for index, data in enumerate(self.constants)}
        parts: list[JsonValue] = []
        sections = [Section("plan", "json", encode(self.plan.to_json(), "plan"))]
        for index, executable in enumerate(self.executables):
            own = {f"part{index}/{number}": data for number, data in enumerate(executable.constants)}
            weights.update(own)
            parts.append(
                {
                    "backend": executable.backend,
                    "manifest": dict(executable.manifest),
                    "constants": len(own),
                    "requires": dict(executable.requires),
                    "operators": list(executable.operators),
                    "kernels": [asdict(record) for record in executable.kernels],
                }
            )
            sections.append(Section(f"part{index}", "executable", executable.code))
        sections.append(Section("report", "json", encode(self.report.to_json(), "report")))
        if self.graph_text:
            sections.append(Section("graph", "mlir", self.graph_text.encode()))
            weights.update({_GRAPH + key: data for key, data in self.graph_weights.items()})
        sections.append(Section("weights", "tensors", weights))
        header: dict[str, JsonValue] = {
            "format": FORMAT,
            "name": self.name,
            "inputs": [[spec.name, str(spec.type)] for spec in self.inputs],
            "outputs": [[spec.name, str(spec.type)] for spec in self.outputs],
            "requires": {"run": list(self.requires.run), "build": list(self.requires.build)},
            "dim_range": {name: list(limits) for name, limits in self.dim_range.items()},
            "parts": parts,
            "constants": len(self.constants),
        }
        write_container(path, header, sections)

    @classmethod
    def load(cls, path: str | os.PathLike[str] | bytes, verify_key: object = None) -> Model:
        """Open a model file (or the bytes of one) and verify every byte of it.

        ModelFileError for damage; PluginMissingError if a backend or operator package is absent. `verify_key` asks
        for a signature check, which this version cannot make: ModelFileError.
        """
        container = Container.open(path)
        source = "model" if isinstance(path, bytes) else os.fspath(path)
        if verify_key is not None:
            raise ModelFileError("this version of mm cannot check signatures", where=source, remedy="omit verify_key")
        container.verify()
        header = check_fields(
            dict(container.header),
            f"{source}: header",
            {
                "format": int, "name": str, "inputs": list, "outputs": list, "requires": dict, "dim_range": dict,
                "parts": list, "constants": int,
            },
        )  # fmt: skip
        if header["format"] != FORMAT:
            raise ModelFileError(
                f"the file has format {header['format']}, this mm reads {FORMAT}",
                where=source,
                remedy="build the model again, or install the mm that wrote it",
            )
        try:
            model = _read(container, header, source)
        except ModelFileError as error:
            raise error.located(source) from None
        except (KeyError, TypeError, ValueError, OverflowError, RecursionError, ParseError, InputError) as error:
            what = f"the file's header is not valid: {error!r:.200}"
            raise ModelFileError(what, where=source, remedy="build the model again") from error
        return model

    @property
    def constant_bytes(self) -> int:
        """Bytes of all weights, packed ones included."""
        return sum(data.nbytes for data in self.constants) + sum(
            data.nbytes for executable in self.executables for data in executable.constants
        )

    @property
    def backends(self) -> list[str]:
        """Backends that the model needs, in the order of the plan's devices."""
        return list(self.plan.devices)

    def __repr__(self) -> str:
        def signature(specs: Sequence[TensorSpec]) -> str:
            return ", ".join(f"{spec.name}: {TensorType(spec.dtype, spec.shape)}" for spec in specs)

        return f"<Model {self.name}: ({signature(self.inputs)}) -> ({signature(self.outputs)})>"


def _executable(container: Container, weights: Mapping[str, TensorData], index: int, part: Any) -> Executable:
    part = check_fields(
        part,
        f"part {index}",
        {"backend": str, "manifest": dict, "constants": int, "requires": dict, "operators": list, "kernels": list},
    )
    where = f"part {index}"
    check_list(list(part["requires"].values()), where, str)
    return Executable(
        part["backend"],
        bytes(container.section(f"part{index}")),
        part["manifest"],
        tuple(weights[f"part{index}/{number}"] for number in range(part["constants"])),
        part["requires"],
        tuple(check_list(part["operators"], where, str)),
        tuple(KernelRecord.from_json(record) for record in part["kernels"]),
    )


def _read(container: Container, header: Mapping[str, Any], source: str) -> Model:
    """The model of a verified container; its header has the right fields."""
    needed = check_fields(header["requires"], "requires", {"run": list, "build": list})
    requires = Requirements(
        tuple(check_list(needed["run"], "requires.run", str)), tuple(check_list(needed["build"], "requires.build", str))
    )
    requires.check(source)
    weights = container.tensors("weights")
    constants = tuple(weights[f"constant/{index}"] for index in range(header["constants"]))
    executables = tuple(_executable(container, weights, index, part) for index, part in enumerate(header["parts"]))
    inputs, outputs = _specs(header["inputs"], "input"), _specs(header["outputs"], "output")
    plan = Plan.from_json(decode(bytes(container.section("plan")), source))
    check_plan(plan, [TensorType(data.dtype, data.shape) for data in constants], inputs, outputs)
    if len(plan.parts) != len(executables):
        raise ModelFileError("plan and header name different numbers of parts")
    for index, (info, executable) in enumerate(zip(plan.parts, executables)):
        if plan.devices[info.device] != executable.backend:
            raise ModelFileError(f"part {index} is for {executable.backend}, the plan runs it elsewhere")
    return Model(
        header["name"],
        inputs,
        outputs,
        plan,
        executables,
        constants,
        BuildReport.from_json(decode(bytes(container.section("report")), source)),
        requires,
        {name: _limits(name, limits) for name, limits in header["dim_range"].items()},
        bytes(container.section("graph")).decode() if "graph" in container.sections else "",
        source,
        {key.removeprefix(_GRAPH): data for key, data in weights.items() if key.startswith(_GRAPH)},
    )


def _specs(pairs: Sequence[Any], what: str) -> list[TensorSpec]:
    specs = []
    for pair in pairs:
        name, text = check_list(pair, what, str)
        specs.append(TensorSpec.of(name, parse_type(text)))
    if len({spec.name for spec in specs}) < len(specs):
        raise ModelFileError(f"two {what}s have one name")
    return specs


def _limits(name: str, limits: Any) -> tuple[int, int]:
    low, high = check_list(limits, f"dim_range of {name}", int)
    if not 0 <= low <= high:
        raise ModelFileError(f"dim_range of {name} is {low} to {high}")
    return low, high
