"""Mutants of model files, of networks as text and of ONNX models: `python -m tests.hostile KIND SEED COUNT`.

A mutant is well-formed as a container (its digests are right) and wrong inside. The only outcome allowed beside success
is an MMError; after anything else the process ends with a status that is not 0, and says which mutant it was.
"""

from __future__ import annotations

import faulthandler
import json
import random
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import mm_core as mm
from mm_core.errors import MMError
from mm_core.serial import Container, Section, container_bytes
from mm_core.testing.specimens import Fixed, device_primitives, dtypes_of, forms_of
from mm_core.types import TensorData

SECONDS_PER_MUTANT = 20
LONGEST_MESSAGE = 8000
MOST_SHOWN = 10
ADDRESS_SPACE = 12 << 30
INTEGERS = (-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 7, 64, 255, 2**16, 2**31, 2**32 + 1, 2**40, 2**56, 2**64, 10**30)
SCRAPS: tuple[Any, ...] = (
    None, True, False, "", "x", -1.5, 1e308, [], {}, [[]], [0], {"a": 1}, "N", "N*N*N*N*N", "floordiv(1, N)", "-N",
    "9" * 30, "mm.sequence_at", "mm.loop", "mm.matmul", "torch.nothing", "library:conv", "library:", "object:0",
    "object:-1", "f64", "i1", "!mm.string", "complex<f64>", "tensor<4xf32>", "tensor<*xf32>", "\x00", "é" * 50,
    "tensor<9223372036854775807xf64>", "!mm.sequence<tensor<2xf32>>", "!mm.optional<tensor<2xf32>>", "arena",
    "constant", "input", "output",
)  # fmt: skip


def networks() -> Iterator[tuple[str, mm.Network, dict[str, Any]]]:
    """Small networks of every kind, with inputs."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> Any:
        return rng.normal(0, 1, shape).astype(np.float32)

    net = mm.Network("convolutions")
    x = net.add_input("x", "float32", ("N", 3, 12, 12))
    y = net.relu(net.conv(x, weight(4, 3, 3, 3), weight(4), strides=(2, 2), pads=(1, 1, 1, 1)))
    y = net.max_pool(y, kernel_shape=(2, 2), strides=(2, 2))
    net.mark_output(net.softmax(net.matmul(net.reshape(y, (-1, 36)), weight(36, 10)), axis=1), "y")
    yield "convolutions", net, {"x": weight(2, 3, 12, 12)}

    net = mm.Network("indices")
    tokens = net.add_input("tokens", "int64", ("B", "S"))
    table = net.gather(net.constant(weight(20, 8)), tokens, axis=0)
    scores = net.matmul(table, net.transpose(table, permutation=(0, 2, 1)))
    best, places = net.topk(net.softmax(scores, axis=-1), net.constant(np.array([1], np.int64)), axis=-1)
    net.mark_output(net.concat(best, net.cast(places, to=mm.float32), axis=-1), "y")
    net.mark_output(net.nonzero(net.cast(tokens, to=mm.float32)), "where")
    yield "indices", net, {"tokens": rng.integers(0, 20, (2, 5))}

    net = mm.Network("control")
    x = net.add_input("x", "float32", (3, "N"))
    yes, no = mm.ir.Graph(within=net), mm.ir.Graph(within=net)
    for branch, factor in ((yes, 2.0), (no, -1.0)):
        argument = branch.add_argument(x.type, "x")
        branch.set_outputs([branch.mul(argument, np.float32(factor))])
    condition = net.less(net.constant(np.float32(0.0)), net.reduce_sum(x, axes=(0, 1), keepdims=False))
    (chosen,) = net.if_(condition, x, regions=(yes, no))
    body = mm.ir.Graph(within=net)
    _, going, carried = (
        body.add_argument(mm.TensorType(mm.int64, ()), "i"),
        body.add_argument(mm.TensorType(mm.bool_, ()), "c"),
        body.add_argument(chosen.type, "v"),
    )
    doubled = body.add(carried, carried)
    body.set_outputs([going, doubled, body.reduce_max(doubled, axes=(0,), keepdims=False)])
    last, scanned = net.loop(net.constant(np.array(3, np.int64)), None, chosen, carried=1, regions=(body,))
    pieces = net.split_to_sequence(last, None, axis=0)
    net.mark_output(net.concat_from_sequence(pieces, axis=1), "y")
    net.mark_output(scanned, "scanned")
    yield "control", net, {"x": weight(3, 4)}


def saved(network: mm.Network, backends: tuple[str, ...], opt_level: int) -> bytes:
    """The model file of a network; at level 0 the CPU generates no code, so nothing in the file is trusted."""
    model = mm.Builder(mm.BuilderConfig(backends=backends, opt_level=opt_level, keep_graph=True)).build(network)
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "m.mm")
        return (Path(folder) / "m.mm").read_bytes()


class Parts:
    """A model file taken apart, to be changed and put together with right digests."""

    def __init__(self, data: bytes) -> None:
        container = Container.open(data)
        self.header: dict[str, Any] = deepcopy(dict(container.header))
        self.kinds = dict(container.sections)
        self.sections: dict[str, Any] = {}
        for name, kind in self.kinds.items():
            if kind == "tensors":
                self.sections[name] = container.tensors(name)
            elif kind == "json":
                self.sections[name] = json.loads(bytes(container.section(name)))
            else:
                self.sections[name] = bytes(container.section(name))

    def bytes(self) -> bytes:
        def content(name: str) -> Any:
            value = self.sections[name]
            return json.dumps(value).encode() if self.kinds[name] == "json" else value

        return container_bytes(self.header, [Section(name, self.kinds[name], content(name)) for name in self.kinds])


def mutate_json(value: Any, rng: random.Random, keep: frozenset[str] = frozenset()) -> Any:
    """A value with one place changed; what stands under the keys in `keep` stays."""
    places: list[tuple[Any, Any]] = []

    def collect(holder: Any) -> None:
        items = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for key, item in items:
            if key in keep:
                continue
            places.append((holder, key))
            if isinstance(item, (dict, list)):
                collect(item)

    value = deepcopy(value)
    collect(value)
    if not places:
        return value
    holder, key = rng.choice(places)
    old, kind = holder[key], rng.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.insert(key, deepcopy(rng.choice(holder)))
    elif kind == 2:
        other, name = rng.choice(places)
        holder[key] = deepcopy(other[name])
    elif isinstance(old, int) and not isinstance(old, bool) and kind < 5:
        holder[key] = rng.choice((*INTEGERS, old + 1, old - 1, -old, old * 2, old * 1000))
    else:
        holder[key] = deepcopy(rng.choice(SCRAPS + INTEGERS))
    return value


def mutate_numbers(value: Any, rng: random.Random) -> Any:
    """A value with one of its integers changed, mostly to a plausible one."""
    value = deepcopy(value)
    places: list[tuple[Any, Any]] = []

    def collect(holder: Any) -> None:
        for key, item in holder.items() if isinstance(holder, dict) else enumerate(holder):
            if isinstance(item, (dict, list)):
                collect(item)
            elif type(item) is int:
                places.append((holder, key))

    collect(value)
    holder, key = rng.choice(places)
    old = holder[key]
    plausible = (-1, 0, 1, 2, 3, 4, 5, old + 1, old - 1, 2 * old, -old)
    holder[key] = rng.choice(plausible if rng.random() < 0.8 else INTEGERS)
    return value


def mutate_model(data: bytes, rng: random.Random) -> bytes:
    """A model file with one to three wrong places."""
    parts = Parts(data)
    generated = any(parts.sections[name] and parts.header["parts"][int(name[4:])]["backend"] == "cpu"
                    for name in parts.sections if name.startswith("part"))  # fmt: skip
    # Generated code trusts the program that it was made for, and says so; the rest of the file may hold anything.
    keep = frozenset(("program",)) if generated else frozenset()
    for _ in range(rng.randint(1, 3)):
        name = rng.choice(["header", "header", *parts.sections])
        if name == "header":
            parts.header = mutate_json(parts.header, rng, keep)
        elif parts.kinds[name] == "json":
            parts.sections[name] = mutate_json(parts.sections[name], rng)
        elif parts.kinds[name] == "tensors":
            _mutate_tensors(parts.sections[name], rng, shapes=not generated)
        elif not (generated and parts.kinds[name] == "executable" and parts.sections[name][:4] == b"\x7fELF"):
            parts.sections[name] = mutate_bytes(parts.sections[name], rng)
        else:
            cut = parts.sections[name][: rng.randrange(2000)]
            parts.sections[name] = rng.choice((b"", b"\x7fELF", cut, b"#!/bin/sh"))
    return parts.bytes()


def _mutate_tensors(tensors: dict[str, TensorData], rng: random.Random, *, shapes: bool) -> None:
    if not tensors:
        return
    key = rng.choice(list(tensors))
    array = tensors[key].numpy()
    choice = rng.randrange(4)
    if choice == 0:
        del tensors[key]
    elif choice == 1:
        tensors[f"{key}0"] = tensors.pop(key)
    elif choice == 2 and shapes:
        tensors[key] = TensorData.of(array.reshape(-1)[: array.size // 2].copy())
    elif array.dtype.kind in "if":
        tensors[key] = TensorData.of(np.full_like(array, rng.choice((-1, 127, 100))))


def mutate_bytes(data: bytes, rng: random.Random) -> bytes:
    """Bytes that are cut, flipped, repeated or overwritten somewhere."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        if not changed:
            break
        place = rng.randrange(len(changed))
        kind = rng.randrange(5)
        if kind == 0:
            del changed[place:]
        elif kind == 1:
            changed[place] ^= 1 << rng.randrange(8)
        elif kind == 2:
            changed[place : place + 8] = rng.choice((b"\xff" * 8, b"\x00" * 8, b"\x80" * 8))
        elif kind == 3:
            changed[place:place] = changed[place : place + rng.randrange(1, 40)]
        else:
            del changed[place : place + rng.randrange(1, 20)]
    return bytes(changed)


def run_model(data: bytes, inputs: dict[str, Any]) -> None:
    """Everything that a user does with a file: load, look, run, observe."""
    model = mm.Model.load(data)
    repr(model)
    model.report.summary()
    engine = model.create_engine(threads=2)
    context = engine.create_context()
    context.run(inputs)
    context.observer = Watcher()
    context.run(inputs)


class Watcher:
    """Wants all that an observer can ask for."""

    wants_results = True
    wants_times = True

    def kernel(self, label: str, nodes: Any, seconds: float) -> None:
        assert seconds >= 0

    def result(self, label: str, nodes: Any, array: Any) -> None:
        np.asarray(array).tobytes()


def attack(attempts: Iterator[tuple[str, Callable[[], None]]]) -> tuple[dict[str, int], list[str]]:
    """Run attempts; how many succeeded or ended in each kind of MMError, and what else came out."""
    counts: dict[str, int] = {}
    escaped: list[str] = []
    for label, attempt in attempts:
        faulthandler.dump_traceback_later(SECONDS_PER_MUTANT, exit=True)
        try:
            attempt()
            outcome = "success"
        except MMError as error:
            outcome = type(error).__name__
            if not 0 < len(str(error)) < LONGEST_MESSAGE:
                escaped.append(f"{label}: a message of {len(str(error))} characters: {error!s:.300}")
        except Exception:
            outcome = "escaped"
            escaped.append(f"{label}: {traceback.format_exc()[-1500:]}")
        finally:
            faulthandler.cancel_dump_traceback_later()
        counts[outcome] = counts.get(outcome, 0) + 1
    return counts, escaped


def model_attempts(seed: int, count: int) -> Iterator[tuple[str, Callable[[], None]]]:
    originals = []
    for name, network, inputs in networks():
        for backends, level in ((("cpu",), 0), (("reference",), 0), (("cpu",), 2)):
            originals.append((f"{name} on {backends[0]} at {level}", saved(network, backends, level), inputs))
    for _, data, inputs in originals:
        run_model(data, inputs)
    for number in range(seed, seed + count):
        rng = random.Random(number)
        label, data, inputs = rng.choice(originals)
        mutant = mutate_model(data, rng)
        yield f"{number}: {label}", lambda mutant=mutant, inputs=inputs: run_model(mutant, inputs)


def primitives() -> Iterator[tuple[mm.Model, dict[str, Any]]]:
    """A model of each device primitive whose program holds kernels of the library alone."""
    for definition in device_primitives():
        for dtype in (mm.float32, mm.int64):
            if dtype not in dtypes_of(definition):
                continue
            for form in forms_of(definition, dtype):
                net, inputs, operands = mm.Network("one"), {}, []
                for number, item in enumerate(form.inputs):
                    if isinstance(item, np.ndarray):
                        inputs[f"x{number}"] = item
                        item = net.add_input(f"x{number}", item.dtype, item.shape)
                    operands.append(net.constant(item.array) if isinstance(item, Fixed) else item)
                results = net.op(definition.name, *operands, **form.attributes)
                for number, result in enumerate(results if isinstance(results, tuple) else (results,)):
                    net.mark_output(result, f"y{number}")
                try:
                    model = mm.Builder(mm.BuilderConfig(opt_level=0, strict=True)).build(net)
                except MMError:  # Not of the CPU, or only as generated code.
                    continue
                if model.executables and not any(executable.code for executable in model.executables):
                    yield model, inputs


def program_attempts(seed: int, count: int) -> Iterator[tuple[str, Callable[[], None]]]:
    originals = list(primitives())
    assert len(originals) > 100

    def attempt(model: mm.Model, inputs: dict[str, Any]) -> None:
        context = model.create_engine(threads=2).create_context()
        context.run(inputs)

    for number in range(seed, seed + count):
        rng = random.Random(number)
        model, inputs = rng.choice(originals)
        part = model.executables[0]
        program = part.manifest["program"]
        for _ in range(rng.randint(1, 2)):
            program = mutate_numbers(program, rng)
        changed = replace(part, manifest={**part.manifest, "program": program})
        mutant = replace(model, executables=(changed, *model.executables[1:]))
        label = f"{number}: {[step[0] for step in part.manifest['program']['steps']]}"
        yield label, lambda mutant=mutant, inputs=inputs: attempt(mutant, inputs)


def onnx_attempts(seed: int, count: int) -> Iterator[tuple[str, Callable[[], None]]]:
    """Models with wrong fields are parsed; one in four of those that parse is built and run too."""
    from tests.hostile_onnx import mutate_message, samples

    originals = samples()
    for proto in originals:
        build_onnx(proto, run=True)
    for number in range(seed, seed + count):
        rng = random.Random(number)
        mutant = rng.choice(originals)
        for _ in range(rng.randint(1, 3)):
            mutant = mutate_message(mutant, rng)
        yield f"{number}", lambda mutant=mutant, run=number % 4 == 0: build_onnx(mutant, run=run)


def build_onnx(proto: Any, *, run: bool) -> None:
    network = mm.parse(proto.SerializeToString(), parser="onnx")
    network.verify()
    if run:
        model = mm.Builder(mm.BuilderConfig(opt_level=0)).build(network)
        inputs = {
            spec.name: np.ones([dim if isinstance(dim, int) else 2 for dim in spec.shape or ()], spec.dtype.numpy)
            for spec in model.inputs
            if all(not isinstance(dim, int) or dim < 1000 for dim in spec.shape or ())
        }
        model.create_engine(threads=1).create_context().run(inputs)


def text_attempts(seed: int, count: int) -> Iterator[tuple[str, Callable[[], None]]]:
    originals = [re.split(r"(\W)", str(network)) for _, network, _ in networks()]
    for number in range(seed, seed + count):
        rng = random.Random(number)
        words = list(rng.choice(originals))
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(len(words))
            words[place] = rng.choice((str(rng.choice(INTEGERS)), rng.choice(words), rng.choice(words), ""))
        mutant = "".join(words)
        yield f"{number}", lambda mutant=mutant: mm.Network.from_text(mutant).verify()


ATTEMPTS = {"model": model_attempts, "program": program_attempts, "onnx": onnx_attempts, "text": text_attempts}


def main(kind: str, seed: int, count: int) -> None:
    faulthandler.enable()
    if sys.platform.startswith("linux"):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    counts, escaped = attack(ATTEMPTS[kind](seed, count))
    print(*escaped[:MOST_SHOWN], json.dumps(counts), sep="\n")
    sys.exit(bool(escaped))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
