"""What cannot be read, each with its place, its reason and what to do."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from running import Function, run
from torch import nn

import mm_core as mm
from mm_core.errors import ParseError, UnsupportedOpError

X = torch.arange(8.0).reshape(2, 4) - 3


# --- control flow -----------------------------------------------------------------------------------------------------


class Chooser(nn.Module):
    """Its Python asks for an element of a tensor."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return x * 2
        return x


def test_control_flow_on_data_is_named_with_its_line_and_remedies() -> None:
    module = nn.Sequential(nn.Linear(4, 4), Chooser())
    with pytest.raises(ParseError) as caught:
        mm.parse(module, example_inputs=(X,))
    text = str(caught.value)
    assert "Sequential: torch.export refuses the module: Could not guard on data-dependent expression" in text
    assert "(test_refusals.py:30, in forward: if x.sum() > 0:)" in text
    for remedy in ("torch.where", "torch.cond", 'torch.compile(backend="mm")'):
        assert remedy in text


def test_the_same_choice_as_torch_cond_is_read() -> None:
    def forward(self: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x + 1, (x,))

    network = mm.parse(Function(forward), example_inputs=(X,))
    for x in (X, -X - 9):
        torch.testing.assert_close(torch.from_numpy(run(network, x)[0]), forward(None, x))


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda self, x: torch.tensor(x.numpy().sum()), "numpy"),
        (lambda self, x: x[: int(x[0, 0])], "data-dependent"),
        (lambda self, x: x @ x, "must have same reduction dim"),
    ],
)
def test_whatever_torch_export_refuses_has_the_users_line(forward: Callable[..., Any], reason: str) -> None:
    with pytest.raises(ParseError, match=rf"torch.export refuses the module: .*{reason}.*\(test_refusals\.py:\d+, in"):
        mm.parse(Function(forward), example_inputs=(X,))


# --- operators --------------------------------------------------------------------------------------------------------


def test_operators_of_unknown_libraries_are_counted_by_module() -> None:
    with torch.library._scoped_library("acme", "DEF") as library:
        library.define("half(Tensor x) -> Tensor")
        library.impl("half", lambda x: x / 2, "CompositeExplicitAutograd")
        first, second = (Function(lambda self, x: torch.ops.acme.half(torch.ops.acme.half(x))) for _ in range(2))
        module = Function(lambda self, x: self.second(self.first(x)), first=first, second=second)
        with pytest.raises(UnsupportedOpError, match=r"acme\.half\.default: 4x in first, second"):
            mm.parse(module, example_inputs=(X,))


@pytest.mark.parametrize(
    ("forward", "operator"),
    [
        (lambda self, x: x + torch.rand_like(x), "aten.rand_like.default"),
        (lambda self, x: torch.nn.functional.dropout(x, 0.5, training=True), "aten.native_dropout.default"),
        (lambda self, x: torch.bernoulli(x.sigmoid()), "aten.bernoulli"),
        (lambda self, x: x[torch.randperm(2)], "aten.randperm.default"),
    ],
)
def test_random_streams_are_refused_unless_ours_will_do(forward: Callable[..., Any], operator: str) -> None:
    module = Function(forward)
    with pytest.raises(UnsupportedOpError, match=rf"{operator}.* draws from PyTorch's random numbers.*random_numbers="):
        mm.parse(module, example_inputs=(X,))
    network = mm.parse(module, example_inputs=(X,), random_numbers=True)
    assert run(network, X)[0].shape == (2, 4)


def test_layers_that_would_draw_only_in_training_draw_nothing() -> None:
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.5, batch_first=True).train()
    mm.parse(nn.Sequential(layer, nn.Dropout(0.3)), example_inputs=(X[None],))


# --- files ------------------------------------------------------------------------------------------------------------


def test_weights_alone_say_how_many_and_what_to_do(tmp_path: Path) -> None:
    for name, legacy in (("weights.pt", False), ("weights.pth", True)):
        path = tmp_path / name
        torch.save(nn.Linear(4, 3).state_dict(), path, _use_new_zipfile_serialization=not legacy)
        with pytest.raises(ParseError, match=r"2 tensors, weights without the model.*load_state_dict"):
            mm.parse(path)


def test_a_whole_module_in_a_pickle_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(4, 3), tmp_path / "model.pt")
    with pytest.raises(ParseError, match=r"a pickle of Python objects, which can run any code.*torch.export.save"):
        mm.parse(tmp_path / "model.pt")


def test_packages_of_machine_code_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "compiled.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("compiled/archive_format", "pt2")
        archive.writestr("compiled/data/aotinductor/model/model.wrapper.so", b"\x7fELF")
    with pytest.raises(ParseError, match=r"AOTInductor: machine code, and no graph.*torch.export.save"):
        mm.parse(path)


def test_damaged_files_and_files_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(nn.Linear(4, 3), (X,)), path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ParseError, match="no archive of PyTorch"):
        mm.parse(path)
    with pytest.raises(ParseError, match="no such file"):
        mm.parse(tmp_path / "nothing.pt2")


# --- TorchScript ------------------------------------------------------------------------------------------------------


class Repeats(nn.Module):
    """Loops of TorchScript: of a known length, or until the data say so."""

    def __init__(self, until: bool) -> None:
        super().__init__()
        self.until = until
        self.lstm = nn.LSTM(4, 4, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y, _ = self.lstm(x[None])
        if self.until:
            while bool(y.sum() < 100):
                y = y * 2 + 1
        else:
            for row in range(x.size(0)):
                y = y + row
        return y


def test_torchscript_that_the_converter_cannot_read_is_traced(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = torch.jit.script(Repeats(False).eval())
    module.save(tmp_path / "repeats.pt")
    network = mm.parse(tmp_path / "repeats.pt", example_inputs=(X,))
    torch.testing.assert_close(torch.from_numpy(run(network, X)[0]), module(X))
    with pytest.raises(ParseError, match=r"prim::Loop.*dynamic value of condition"):
        mm.parse(torch.jit.script(Repeats(True).eval()), example_inputs=(X,))
    with pytest.raises(ParseError, match=r"TorchScript takes no dynamic_shapes.*input_shapes"):
        mm.parse(module, example_inputs=(X,), dynamic_shapes={"x": {0: torch.export.Dim("N")}})


# --- the framework ----------------------------------------------------------------------------------------------------


def test_without_torch_the_message_has_the_line_to_type(tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None\nimport mm_core as mm\nmm.parse('model.pt2')"
    (tmp_path / "model.pt2").write_bytes(b"PK")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "PluginMissingError: the PyTorch parser needs torch" in done.stderr
    assert 'pip install "mm-parser-torch[torch]"' in done.stderr
