"""The conformance kit gives each verdict where it is due: tried on a backend that is ill in every way."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BACKEND = '''
from mm_backend_reference import ReferenceBackend, ReferenceDevice, ReferenceQueue
from mm_backend_reference.compiler import ReferenceCompiler
from mm_core.compiler import No, Yes
from mm_core.device import DeviceInfo

class Queue(ReferenceQueue):
    def run(self, bound, inputs, *rest):
        produced = super().run(bound, inputs, *rest)
        (name,) = [operation.name for operation in bound.handle.operations if operation.name != "mm.constant"]
        if name == "mm.neg":
            for buffer in produced:
                buffer.array += 1
        if name == "mm.tanh":
            raise KeyError("the tables of tanh")
        return produced

class Device(ReferenceDevice):
    def create_queue(self):
        return Queue()

class Compiler(ReferenceCompiler):
    backend = "ill"
    def supports(self, operation):
        return {"mm.exp": No("exp is not for us"), "mm.sqrt": Yes(fallback=True)}.get(operation.name, Yes())
    def compile(self, part, context):
        if any(operation.name == "mm.sinh" for operation in part.operations):
            raise ZeroDivisionError("in the compiler")
        return super().compile(part, context)

class Ill(ReferenceBackend):
    name = "ill"
    def probe(self):
        return (DeviceInfo("ill:0", "ill"),)
    def open(self, name):
        return Device("ill:0", "ill")
    def compiler(self, target):
        return Compiler()
'''

PROGRAM = """
from mm_core.testing.conformance import Verdict, conform, operator_names

report = conform("ill", "mm.neg", "mm.abs", "mm.exp", "mm.sqrt", "mm.tanh", "mm.sinh")
for verdict in Verdict:
    for op in sorted(report.operators(verdict)):
        print(verdict.value, op, next(o.reason for o in report.having(verdict) if o.case.definition.name == op))
assert sum(sum(row.values()) for row in report.by_family().values()) == len(report.outcomes) > 100
"""


def test_every_verdict(tmp_path: Path) -> None:
    information = tmp_path / "mm_backend_ill-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: mm-backend-ill\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[mm.backends]\nill = ill_backend:Ill\n")
    (tmp_path / "ill_backend.py").write_text(BACKEND)
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = {(line.split()[0], line.split()[1]): line for line in done.stdout.splitlines()}
    # Nothing can be wrong about an empty tensor, so mm.neg is right in some cases.
    assert set(found) == {
        ("native", "mm.abs"), ("native", "mm.neg"), ("fallback", "mm.sqrt"), ("rejected", "mm.exp"),
        ("wrong", "mm.neg"), ("wrong", "mm.tanh"), ("wrong", "mm.sinh"),
    }  # fmt: skip
    assert "ill: exp is not for us" in found["rejected", "mm.exp"]
    assert "result 0 and the reference differ" in found["wrong", "mm.neg"]
    assert "built, then" in found["wrong", "mm.tanh"]
    assert "the tables of tanh" in found["wrong", "mm.tanh"]
    assert "accepted, then" in found["wrong", "mm.sinh"]
    assert "in the compiler" in found["wrong", "mm.sinh"]
