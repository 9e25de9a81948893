"""mm: an inference compiler and runtime whose parsers, passes, operators and backends are plugins.

    import mm_core as mm

    network = mm.parse("model.onnx")
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"])).build(network)
    outputs = model.create_engine().create_context().run({"x": array})

This module is a lazy facade: a name is imported when it is first used, so that running a model loads no compiler.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mm_core.build import Builder as Builder
    from mm_core.build import BuilderConfig as BuilderConfig
    from mm_core.ir import Graph as Graph
    from mm_core.ir import Location as Location
    from mm_core.ir import Network as Network
    from mm_core.model import Model as Model
    from mm_core.parsing import parse as parse

_HOMES = {
    "mm_core.build": ("Builder", "BuilderConfig"),
    "mm_core.ir": ("Graph", "Location", "Network", "Operation", "Value"),
    "mm_core.model": ("Model",),
    "mm_core.ops": ("Attribute", "OpDef", "Operand", "Result", "Tier", "Trait"),
    "mm_core.parsing": ("Parser", "parse"),
    "mm_core.passes": ("Pass", "PassManager"),
    "mm_core.runtime": ("Context", "Engine", "Queue"),
    "mm_core.types": (
        "DType", "Dim", "OptionalType", "SequenceType", "SymDim", "TensorData", "TensorSpec", "TensorType",
    ),
    "mm_core.types.dtypes": (
        "bool_", "int2", "int4", "int8", "int16", "int32", "int64", "uint2", "uint4", "uint8", "uint16", "uint32",
        "uint64", "float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2",
        "float8_e5m2fnuz", "float8_e8m0fnu", "float4_e2m1fn", "complex64", "complex128", "string",
    ),
    "mm_core.errors": (
        "BuildError", "CompileError", "DeviceError", "InputError", "MMError", "ModelFileError", "ParseError",
        "PassError", "PluginConflictError", "PluginError", "PluginLoadError", "PluginMissingError",
        "UnsupportedOpError", "VerifyError",
    ),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = sorted((*_HOME, "__version__"))


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mm_core' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
