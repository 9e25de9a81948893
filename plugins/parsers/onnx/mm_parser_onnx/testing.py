"""ONNX's own cases for the harness of `mm_core.testing`: one model for each form of each operator, with the answers.

They are what onnx's backend test runner uses, with its tolerances; here every refusal counts.
"""

from __future__ import annotations

import re
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests

from mm_core.testing.case import Case, DataSet, Tolerance

KINDS = ("node", "simple", "pytorch-converted", "pytorch-operator")
"""The kinds of cases that come with onnx; only `node` covers every operator."""
COARSE = {"bfloat16": 2.0**-6}
"""onnx's runner allows bfloat16 two units in the last place."""
_EXPANDED = re.compile(r"_expanded(_ver\d+)?$")


@cache
def onnx_cases(kind: str = "node") -> tuple[Case, ...]:
    """The cases of a kind, sorted by name. Some need Pillow: onnx leaves those of images out where it is missing."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        found = sorted(load_model_tests(kind=kind), key=lambda case: case.name)
    operators = {case.name: case.model.graph.node[0] for case in found if case.model is not None}
    return tuple(_case(case, _family(operators.get(_EXPANDED.sub("", case.name)), kind)) for case in found)


def _case(case: TestCase, family: str) -> Case:
    if case.model is not None:
        model, source = case.model, case.model.SerializeToString()
        given = [tuple([_plain(value) for value in values] for values in data) for data in case.data_sets or ()]
    else:
        path = Path(case.model_dir or "") / "model.onnx"
        model, source = onnx.load(path), str(path)
        given = [_data_set(model, folder) for folder in sorted(path.parent.glob("test_data_set*"))]
    infos = _inputs(model)
    names = [info.name for info in infos], [info.name for info in model.graph.output]
    data_sets = tuple(DataSet(*(dict(zip(*pair, strict=True)) for pair in zip(names, values))) for values in given)
    tensors = tuple(info.name for info in infos if info.type.HasField("tensor_type"))
    return Case(case.name, source, data_sets, Tolerance(case.rtol, case.atol, COARSE), tensors, family)


def _data_set(model: onnx.ModelProto, folder: Path) -> tuple[list[Any], ...]:
    """Inputs and outputs from a folder of the suite."""
    sides = (("input", _inputs(model)), ("output", model.graph.output))
    return tuple(
        [_read(folder / f"{label}_{index}.pb", info.type) for index, info in enumerate(infos)] for label, infos in sides
    )


def _inputs(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Inputs that are no initializers, which old models list too."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [info for info in model.graph.input if info.name not in constants]


def _read(path: Path, type_: onnx.TypeProto) -> Any:
    """A value from the suite's files."""
    data, kind = path.read_bytes(), type_.WhichOneof("value")
    if kind == "tensor_type":
        return _plain(onnx.TensorProto.FromString(data))
    if kind == "sequence_type":
        return _plain(numpy_helper.to_list(onnx.SequenceProto.FromString(data)))
    return _plain(numpy_helper.to_optional(onnx.OptionalProto.FromString(data)))


def _plain(value: Any) -> Any:
    """The value as mm has it: arrays, lists, None; strings as objects."""
    if value is None:
        return None
    if isinstance(value, list):
        return [_plain(item) for item in value]
    array = numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else np.asarray(value)
    return array.astype(object) if array.dtype.kind in "SU" else array


def _family(node: onnx.NodeProto | None, kind: str) -> str:
    """The chapter of the ONNX specification that defines the operator; the kind for models of several operators."""
    if node is None:
        return kind
    domain = node.domain or "ai.onnx"
    if onnx.defs.has(node.op_type, node.domain):
        return Path(onnx.defs.get_schema(node.op_type, domain=node.domain).file).parent.name
    return domain
