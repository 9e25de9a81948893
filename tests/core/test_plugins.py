"""The registry, the hooks and the doctor, on real distributions laid out on `sys.path`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mm_core import plugins
from mm_core.errors import MMError, PluginConflictError, PluginLoadError, PluginMissingError
from mm_core.plugins import doctor
from mm_core.plugins.hookspecs import HookSpecifications


class Site:
    """A folder on `sys.path` into which distributions are installed as files, the way pip leaves them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def install(
        self,
        distribution: str,
        entry_points: str,
        modules: dict[str, str] | None = None,
        requires: tuple[str, ...] = (),
        version: str = "1.0",
    ) -> None:
        info = self.folder / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {distribution}", f"Version: {version}"]
        lines += [f"Requires-Dist: {requirement}" for requirement in requires]
        (info / "METADATA").write_text("\n".join(lines) + "\n\n")
        (info / "entry_points.txt").write_text(entry_points)
        for name, code in (modules or {}).items():
            (self.folder / f"{name}.py").write_text(code)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.delenv("MM_PLUGINS", raising=False)
    monkeypatch.delenv("MM_DISABLE_PLUGINS", raising=False)
    site = Site(tmp_path)
    site.install("mm-core", "", version="0.1.0")  # the version that requirements are held against
    return site


def record(group: str, name: str) -> plugins.PluginRecord:
    (found,) = [found for found in plugins.records(group) if found.name == name]
    return found


def test_a_name_goes_in_and_one_object_comes_out(site: Site) -> None:
    site.install("acme-tpu", "[mm.backends]\nacme = acme_one:BACKEND\n", {"acme_one": "BACKEND = ('acme', 1)\n"})
    assert plugins.load("mm.backends", "acme") == ("acme", 1)
    assert plugins.load("mm.backends", "acme") is plugins.load("mm.backends", "acme")


def test_falsy_and_module_plugins_are_returned_as_they_are(site: Site) -> None:
    site.install(
        "acme-ops",
        "[mm.ops]\nacme = acme_module\nnone = acme_module:EMPTY\n",
        {"acme_module": "EMPTY = ()\n"},
    )
    assert plugins.load("mm.ops", "acme").__name__ == "acme_module"
    assert plugins.load("mm.ops", "none") == ()


def test_listing_imports_nothing(site: Site) -> None:
    site.install("acme-bomb", "[mm.passes]\nbomb = acme_bomb:P\n", {"acme_bomb": "raise RuntimeError('boom')\n"})
    found = record("mm.passes", "bomb")
    assert (found.distribution, found.version, found.value, found.problem) == (
        "acme-bomb",
        "1.0",
        "acme_bomb:P",
        None,
    )
    assert "acme_bomb" not in sys.modules


def test_a_freshly_installed_distribution_is_seen_in_the_same_process(site: Site) -> None:
    assert "late" not in {found.name for found in plugins.records("mm.passes")}
    site.install("acme-late", "[mm.passes]\nlate = acme_late:P\n", {"acme_late": "P = 7\n"})
    assert plugins.load("mm.passes", "late") == 7


def test_missing_says_what_is_there_and_what_to_install(site: Site) -> None:
    site.install("acme-tpu", "[mm.backends]\nacme = acme_two:BACKEND\n")
    with pytest.raises(PluginMissingError, match=r"no backend named 'tpu'.*acme.*pip install mm-backend-tpu"):
        plugins.load("mm.backends", "tpu")
    with pytest.raises(PluginMissingError, match=r"available: mm\.parsers, mm\.ops"):
        plugins.load("mm.backend", "tpu")


def test_two_distributions_of_one_name_are_an_error_that_names_both(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `other` lies between the two, which hides the duplicate from stevedore's own resolver.
    site.install("acme-a", "[mm.ops]\nsame = acme_a:A\n", {"acme_a": "A = 'a'\n"})
    site.install("acme-b", "[mm.ops]\nother = acme_b:B\n", {"acme_b": "B = 'b'\n"})
    site.install("acme-c", "[mm.ops]\nsame = acme_c:C\n", {"acme_c": "C = 'c'\n"})
    with pytest.raises(PluginConflictError, match=r"acme-a 1\.0 .*acme-c 1\.0"):
        plugins.load("mm.ops", "same")
    assert plugins.load("mm.ops", "other") == "b"
    claims = [found for found in plugins.records("mm.ops") if found.name == "same"]
    assert [found.state for found in claims] == ["conflict", "conflict"]

    monkeypatch.setenv("MM_DISABLE_PLUGINS", "acme-a")
    assert plugins.load("mm.ops", "same") == "c"


def test_the_same_distribution_twice_on_the_path_is_no_conflict(
    site: Site, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = tmp_path_factory.mktemp("later")
    monkeypatch.setattr(sys, "path", [*sys.path, str(later)])
    site.install("acme-twice", "[mm.ops]\ntwice = acme_twice:A\n", {"acme_twice": "A = 'first'\n"})
    Site(later).install("acme_twice", "[mm.ops]\ntwice = acme_twice:A\n", version="0.9")
    assert plugins.load("mm.ops", "twice") == "first"
    assert record("mm.ops", "twice").version == "1.0"


def test_a_wrong_version_is_refused_before_any_import(site: Site) -> None:
    site.install(
        "acme-old",
        "[mm.ops]\nold = acme_old:A\n",
        {"acme_old": "A = 1\n"},
        requires=("numpy", "mm_core>=99,<100"),
    )
    with pytest.raises(PluginLoadError, match=r"acme-old 1\.0 is of the wrong version.*needs mm-core.*99"):
        plugins.load("mm.ops", "old")
    assert "acme_old" not in sys.modules
    assert record("mm.ops", "old").state == "version"


@pytest.mark.parametrize(
    "requirement", ["mm-core>=0.1,<99", "mm-core", 'mm-core>=99; python_version < "3"', "mm-core-x>=9"]
)
def test_a_fitting_version_loads(site: Site, requirement: str) -> None:
    site.install("acme-new", "[mm.ops]\nnew = acme_new:A\n", {"acme_new": "A = 1\n"}, requires=(requirement,))
    assert plugins.load("mm.ops", "new") == 1


def test_an_unreadable_requirement_is_a_problem_not_a_crash(site: Site) -> None:
    site.install("acme-odd", "[mm.ops]\nodd = acme_odd:A\n", {"acme_odd": "A = 1\n"}, requires=("mm-core ?? 3",))
    with pytest.raises(PluginLoadError, match="cannot be read"):
        plugins.load("mm.ops", "odd")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import acme_dependency_that_is_absent\n", "ModuleNotFoundError"),
        ("raise ValueError('bad luck')\n", "ValueError: bad luck"),
        ("import sys\nsys.exit(3)\n", "SystemExit"),
        ("OTHER = 1\n", "AttributeError"),
        ("def f(:\n", "SyntaxError"),
    ],
)
def test_a_broken_plugin_hurts_only_when_asked_for(site: Site, code: str, reason: str) -> None:
    module = f"acme_broken_{reason.split(':')[0].lower()}"
    site.install(
        "acme-broken",
        f"[mm.ops]\nbroken = {module}:A\nfine = acme_fine:A\n",
        {module: code, "acme_fine": "A=1"},
    )
    assert record("mm.ops", "broken").problem is None
    assert plugins.load("mm.ops", "fine") == 1
    with pytest.raises(PluginLoadError, match=reason) as caught:
        plugins.load("mm.ops", "broken")
    assert "acme-broken 1.0" in str(caught.value)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    ("variable", "value", "loads"),
    [
        ("MM_DISABLE_PLUGINS", "one", {"two"}),
        ("MM_DISABLE_PLUGINS", "mm.ops:one", {"two"}),
        ("MM_DISABLE_PLUGINS", "mm.passes:one", {"one", "two"}),
        ("MM_DISABLE_PLUGINS", "Acme_Pair", set()),
        ("MM_PLUGINS", "one, something", {"one"}),
        ("MM_PLUGINS", "acme-pair", {"one", "two"}),
        ("MM_PLUGINS", "", {"one", "two"}),
    ],
)
def test_the_environment_restricts(
    site: Site, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, loads: set[str]
) -> None:
    site.install("acme-pair", "[mm.ops]\none = acme_pair:A\ntwo = acme_pair:A\n", {"acme_pair": "A = 1\n"})
    monkeypatch.setenv(variable, value)
    for name in ("one", "two"):
        if name in loads:
            assert plugins.load("mm.ops", name) == 1
        else:
            with pytest.raises(PluginMissingError, match=f"is installed, but .*{variable}"):
                plugins.load("mm.ops", name)


def test_every_registry_error_is_an_mm_error_in_one_line(site: Site) -> None:
    with pytest.raises(MMError) as caught:
        plugins.load("mm.parsers", "nothing")
    assert "\n" not in str(caught.value)


def test_importing_the_registry_loads_neither_stevedore_nor_pluggy() -> None:
    code = "import sys, mm_core.plugins; print(sorted({'stevedore', 'pluggy', 'packaging'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


HOOKS = """
from mm_core.plugins import hookimpl

seen = []

@hookimpl
def mm_model_packed(model):
    seen.append(model)
"""


def test_hooks_reach_every_plugin_and_broken_ones_are_skipped_with_a_warning(site: Site) -> None:
    site.install("acme-hooks", "[mm.hooks]\nwatch = acme_hooks\n", {"acme_hooks": HOOKS})
    site.install("acme-bad", "[mm.hooks]\nbad = acme_bad\n", {"acme_bad": "raise OSError('disk')\n"})
    unknown = HOOKS.replace("mm_model_packed", "mm_no_such_event")
    site.install("acme-unknown", "[mm.hooks]\nunknown = acme_unknown\n", {"acme_unknown": unknown})
    wrong = HOOKS.replace("(model)", "(model, colour)")
    site.install("acme-wrong", "[mm.hooks]\nwrong = acme_wrong\n", {"acme_wrong": wrong})
    plugins.hooks.cache_clear()
    with pytest.warns(RuntimeWarning) as warned:
        relay = plugins.hooks()
    plugins.hooks.cache_clear()
    reasons = "\n".join(str(entry.message) for entry in warned)
    assert "acme-bad 1.0" in reasons
    assert "mm_no_such_event" in reasons
    assert "colour" in reasons
    relay.mm_model_packed(model="a model")
    assert plugins.load("mm.hooks", "watch").seen == ["a model"]


def test_there_are_at_most_ten_documented_hooks() -> None:
    events = [getattr(HookSpecifications, name) for name in dir(HookSpecifications) if name.startswith("mm_")]
    assert 1 <= len(events) <= 10
    assert all(event.__doc__ for event in events)


def test_the_doctor_tells_every_state_apart(site: Site) -> None:
    code = {
        "acme_well": "def self_test():\n    print('noise on stdout')\n    return 'all well'\n",
        "acme_plain": "A = 1\n",
        "acme_class": "class A:\n    def self_test(self):\n        return 'made and tested'\n",
        "acme_import": "import acme_absent_dependency\n",
        "acme_failing": "def self_test():\n    assert 1 + 1 == 3, 'sums'\n",
        "acme_absent": "from mm_core.errors import DeviceError\n"
        "def self_test():\n    raise DeviceError('no card in this machine', remedy='plug one in')\n",
        "acme_segfault": "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)\n",
        "acme_exit": "import os\nos._exit(0)\n",
        "acme_slow": "import time\ntime.sleep(60)\n",
    }
    names = "\n".join(f"{module.removeprefix('acme_')} = {module}" for module in code)
    names = names.replace("= acme_class", "= acme_class:A")
    site.install("acme-ward", f"[mm.backends]\n{names}\n", code)
    site.install("acme-future", "[mm.backends]\nfuture = acme_x\n", requires=("mm-core>=99",))
    found = {answer.record.name: answer for answer in doctor.check("acme-ward", timeout=5.0)}
    assert {name: answer.verdict for name, answer in found.items()} == {
        "well": "ok",
        "plain": "ok",
        "class": "ok",
        "import": "broken",
        "failing": "broken",
        "absent": "unavailable",
        "segfault": "crashed",
        "exit": "crashed",
        "slow": "timeout",
    }
    assert found["well"].reason == "all well"
    assert found["class"].reason == "made and tested"
    assert "acme_absent_dependency" in found["import"].reason
    assert "sums" in found["failing"].reason
    assert (found["absent"].reason, found["absent"].remedy) == ("no card in this machine", "plug one in")
    assert "SIGSEGV" in found["segfault"].reason
    assert all(answer.remedy for answer in found.values() if not answer.healthy)
    (future,) = doctor.check("future")
    assert future.verdict == "version"
    assert "needs mm-core>=99" in future.reason
    with pytest.raises(PluginMissingError, match="acme-nothing"):
        list(doctor.check("acme-nothing"))
