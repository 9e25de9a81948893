"""`BuilderConfig`: every choice of a build, from Python, from the command line or from MagicMind's JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mm_core.errors import BuildError

FLOAT32_PRECISION = "force_float32"
"""The mode that needs nobody: what is float32 is computed in it. The others are brought about by passes."""
PRECISIONS = (
    "force_float32",
    "force_float16",
    "qint8_mixed_float16",
    "qint8_mixed_float32",
    "qint16_mixed_float16",
    "qint16_mixed_float32",
)
OPT_LEVELS = (0, 1, 2, 3)

DimRange = Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class BuilderConfig:
    """Choices of a build.

    `backends` is the complete list in order of preference; only `reference` is appended, and never under `strict`,
    which refuses every fallback. `opt_level` runs from 0 (as parsed) to 3 (kernels that round more too). `threads` is
    the number of threads to plan for. `dim_range` bounds symbols: `{"N": (1, 64)}`. `target` holds options that
    backends declare, by name. `passes` replaces the default pipeline by one given as text. `print_ir` is a folder for
    the network after each pass and for every stage's artefact. `progress(step, fraction)` is called as the build goes
    on.
    """

    backends: Sequence[str] = ("cpu",)
    precision: str = FLOAT32_PRECISION
    opt_level: int = 2
    strict: bool = False
    threads: int | None = None
    disable_passes: Sequence[str] = ()
    dim_range: DimRange | None = None
    progress: Callable[[str, float], None] | None = field(default=None, compare=False)
    passes: str | None = None
    target: Mapping[str, str] = field(default_factory=dict)
    print_ir: str | os.PathLike[str] | None = None
    keep_graph: bool = False
    input_dims: Mapping[str, tuple[Sequence[int], Sequence[int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        names = (self.backends,) if isinstance(self.backends, str) else tuple(self.backends)
        object.__setattr__(self, "backends", names)
        object.__setattr__(self, "disable_passes", tuple(self.disable_passes))
        if not names or len(set(names)) != len(names):
            raise BuildError(f"backends={list(names)} must name each backend once, and at least one")
        if self.opt_level not in OPT_LEVELS:
            raise BuildError(f"opt_level is {self.opt_level}", available=", ".join(map(str, OPT_LEVELS)))
        if self.precision not in PRECISIONS:
            raise BuildError(f"the precision mode {self.precision!r} is unknown", available=", ".join(PRECISIONS))
        if self.threads is not None and self.threads < 1:
            raise BuildError(f"threads is {self.threads}, must be at least 1")
        for name, value in self.target.items():
            if not isinstance(value, str):
                raise BuildError(f"the option {name!r} of a backend is {value!r}, must be text")
        for name, limits in (self.dim_range or {}).items():
            if len(limits) != 2 or not 0 <= limits[0] <= limits[1]:
                raise BuildError(f"dim_range of {name} is {limits}", remedy="give (least, largest)")

    @classmethod
    def from_json(cls, source: str | os.PathLike[str] | Mapping[str, Any], **overrides: Any) -> BuilderConfig:
        """A configuration from a JSON file, JSON text or a dict, in our keys or MagicMind's.

        Keys that name something this version lacks are a BuildError that says which; nothing is ignored silently.
        """
        return cls(**{**_from_mapping(_read(source)), **overrides})

    def with_options(self, **changes: Any) -> BuilderConfig:
        """A copy with some choices changed."""
        return replace(self, **changes)


def _read(source: str | os.PathLike[str] | Mapping[str, Any]) -> Mapping[str, Any]:
    if isinstance(source, Mapping):
        return source
    text = str(source)
    try:
        if not text.lstrip().startswith("{"):
            text = Path(source).read_text(encoding="utf-8")
        data = json.loads(text)
    except OSError as error:
        raise BuildError(f"cannot read the build configuration: {error.strerror}", where=str(source)) from error
    except (ValueError, RecursionError) as error:
        raise BuildError(f"the build configuration is not JSON: {error}", where=str(source)[:80]) from error
    if not isinstance(data, dict):
        raise BuildError("the build configuration must be a JSON object", where=str(source)[:80])
    return data


_OWN: Mapping[str, type | tuple[type, ...]] = {
    "backends": (list, tuple, str), "precision": str, "opt_level": int, "strict": bool, "threads": (int, type(None)),
    "disable_passes": (list, tuple), "passes": (str, type(None)), "target": Mapping,
    "print_ir": (str, os.PathLike, type(None)), "keep_graph": bool,
}  # fmt: skip


def _from_mapping(data: Mapping[str, Any]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for key, value in data.items():
        if key in _OWN:
            if not isinstance(value, _OWN[key]):
                raise BuildError(f"the configuration key '{key}' has the unusable value {value!r}")
            options[key] = value
        elif key in _MAGICMIND:
            try:
                _MAGICMIND[key](options, value)
            except (TypeError, ValueError, AttributeError, KeyError) as error:
                raise BuildError(f"the configuration key '{key}' has the unusable value {value!r}") from error
        else:
            raise BuildError(
                f"the configuration key '{key}' is unknown", available=", ".join((*_OWN, *_MAGICMIND))
            )
    return options


def _archs(options: dict[str, Any], value: Any) -> None:
    """An architecture, perhaps with the numbers of its clusters: `["a"]` and `[{"a": [2, 6]}]` become `a` and `a:2,6`.

    The option of the backend that knows such names has the alias `archs`.
    """
    if len(value) != 1:
        raise BuildError(f"archs names {len(value)} architectures", remedy="build a model for each of them")
    (arch,) = value
    if isinstance(arch, Mapping):
        ((arch, counts),) = arch.items()
        arch = f"{arch}:{','.join(map(str, counts))}"
    options.setdefault("target", {})["archs"] = str(arch)


def _dim_range(options: dict[str, Any], value: Any) -> None:
    if value and all(isinstance(limits, Mapping) for limits in value.values()):
        options["input_dims"] = {
            str(index): (tuple(limits["min"]), tuple(limits["max"])) for index, limits in value.items()
        }
    else:
        options["dim_range"] = {name: tuple(limits) for name, limits in value.items()}


def _precision(options: dict[str, Any], value: Any) -> None:
    for key, setting in value.items():
        if key != "precision_mode":
            raise BuildError(f"precision_config.{key} needs an integer precision mode, which this version lacks")
        options["precision"] = setting


def _optimisation(options: dict[str, Any], value: Any) -> None:
    for key, setting in value.items():
        if key == "type64to32_conversion":
            continue  # Our backends keep 64-bit integers, so a model that needed the conversion runs without.
        if key in ("conv_scale_fold", "auto_fusion_enable"):
            if not setting:
                family = {"conv_scale_fold": "fold-affine", "auto_fusion_enable": "fuse-epilogue"}[key]
                options["disable_passes"] = (*options.get("disable_passes", ()), family)
            continue
        raise BuildError(
            f"opt_config.{key} is unknown", available="type64to32_conversion, conv_scale_fold, auto_fusion_enable"
        )


def _debug(options: dict[str, Any], value: Any) -> None:
    for key, setting in value.items():
        if key == "fusion_enable":
            if not setting:
                options["disable_passes"] = (*options.get("disable_passes", ()), "fuse-epilogue", "fuse-elementwise")
        elif key == "print_ir":
            options.setdefault("print_ir", "mm_ir")
        else:
            raise BuildError(f"debug_config.{key} is unknown", available="fusion_enable, print_ir")


def _no_effect(options: dict[str, Any], value: Any) -> None:
    """Keys whose promise always holds here: shapes are mutable where symbolic, results are deterministic."""


def _later(key: str) -> Callable[[dict[str, Any], Any], None]:
    def refuse(options: dict[str, Any], value: Any) -> None:
        raise BuildError(f"the configuration key '{key}' is not offered by this version", remedy=f"remove '{key}'")

    return refuse


_LATER = (
    "convert_input_layout", "convert_output_layout", "insert_bn_before_firstnode", "custom_ranges", "custom_nodes",
    "cross_compile_toolchain_path", "crop_config",
)  # fmt: skip
_MAGICMIND: Mapping[str, Callable[[dict[str, Any], Any], None]] = {
    "archs": _archs,
    "graph_shape_mutable": _no_effect,
    "dim_range": _dim_range,
    "precision_config": _precision,
    "opt_config": _optimisation,
    "computation_preference": _no_effect,
    "compute_determinism": _no_effect,
    "debug_config": _debug,
    **{key: _later(key) for key in _LATER},
}
