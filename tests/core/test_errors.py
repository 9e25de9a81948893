"""The error tree: messages of one shape, kinds that survive a process border."""

from __future__ import annotations

import pickle

import pytest

from mm_core import errors
from mm_core.errors import MMError

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MMError)]


def test_the_tree_is_the_documented_one() -> None:
    assert {kind.__name__ for kind in KINDS} >= {
        "MMError", "ParseError", "UnsupportedOpError", "VerifyError", "PassError", "BuildError", "CompileError",
        "ModelFileError", "DeviceError", "InputError", "PluginError", "PluginLoadError", "PluginConflictError",
        "PluginMissingError",
    }  # fmt: skip
    plugin = [kind for kind in KINDS if issubclass(kind, errors.PluginError)]
    assert len(plugin) == 4
    assert all(kind.__doc__ for kind in KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_has_its_parts_in_order(kind: type[MMError]) -> None:
    full = kind("it broke", where="conv1", available="a, b", remedy="use a")
    assert str(full) == "conv1: it broke; available: a, b; use a"
    assert str(kind("it broke")) == "it broke"
    again = pickle.loads(pickle.dumps(full))
    assert type(again) is kind
    assert (again.what, again.where, again.available, again.remedy) == ("it broke", "conv1", "a, b", "use a")


def test_the_first_place_is_kept() -> None:
    error = MMError("it broke")
    assert error.located("inner") is error
    assert error.located("outer").where == "inner"
