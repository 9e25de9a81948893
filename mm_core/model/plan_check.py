"""What a plan must satisfy before anything runs it: numbers in range, values defined before use, types that fit.

Sizes are not compared here: they may depend on the request, so the runtime compares them at each launch.
"""

from __future__ import annotations

from collections.abc import Sequence

from mm_core.errors import ModelFileError
from mm_core.model.plan import Block, Copy, Host, If, Launch, Loop, Plan, Sizes, Slots
from mm_core.types import BY_NAME, OptionalType, TensorSpec, TensorType, ValueType

_CONDITION = TensorType(BY_NAME["bool"], None)
_ITERATION = TensorType(BY_NAME["int64"], None)


def check_plan(
    plan: Plan, constants: Sequence[ValueType], inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]
) -> None:
    """ModelFileError unless the plan fits itself, the constants' types and the model's inputs and outputs."""
    checker = _Checker(plan)
    for part in plan.parts:
        checker.within("device", part.device, len(plan.devices))
        if not all(isinstance(type_, TensorType) for type_ in (*part.inputs, *part.outputs)):
            raise _invalid("a part takes or gives something else than tensors")
    for slot, number in plan.constants.items():
        checker.within("slot", slot, len(plan.slots))
        checker.within("constant", number, len(constants))
        checker.expect(constants[number], plan.slots[slot], f"constant {number}")
    checker.block(plan.main, [spec.type for spec in inputs], [spec.type for spec in outputs], "the model")


def fits(given: ValueType, wanted: ValueType) -> bool:
    """Whether a value of one type may stand where another is expected, as far as kind and element type tell."""
    if isinstance(wanted, OptionalType):
        return fits(given.element if isinstance(given, OptionalType) else given, wanted.element)
    if isinstance(wanted, TensorType) or isinstance(given, TensorType):
        return isinstance(wanted, TensorType) and isinstance(given, TensorType) and given.dtype is wanted.dtype
    return type(given) is type(wanted) and fits(given.element, wanted.element)


def _invalid(what: str) -> ModelFileError:
    return ModelFileError(f"the plan is not valid: {what}", remedy="build the model again")


class _Checker:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def within(self, what: str, number: int, limit: int) -> None:
        if not 0 <= number < limit:
            raise _invalid(f"it names {what} {number} of {limit}")

    def expect(self, given: ValueType, wanted: ValueType, what: str) -> None:
        if not fits(given, wanted):
            raise _invalid(f"{what} is {given} where {wanted} belongs")

    def block(self, block: Block, arguments: Sequence[ValueType], results: Sequence[ValueType], what: str) -> None:
        """Check a block that is given `arguments` and must give `results`."""
        if (len(block.arguments), len(block.results)) != (len(arguments), len(results)):
            raise _invalid(f"the block of {what} has the wrong number of arguments or results")
        scope = _Scope(self, set(self.plan.constants))
        scope.write(block.arguments, arguments, f"an argument of {what}")
        for step in block.instructions:
            if isinstance(step, Launch):
                self.within("part", step.part, len(self.plan.parts))
                part = self.plan.parts[step.part]
                scope.read(step.inputs, part.inputs, f"an input of part {step.part}")
                scope.write(step.outputs, part.outputs, f"an output of part {step.part}")
            elif isinstance(step, Copy):
                for device in (step.source_device, step.target_device):
                    if device != -1:
                        self.within("device", device, len(self.plan.devices))
                if step.source_device == step.target_device:
                    raise _invalid(f"it copies from device {step.source_device} to itself")
                given = scope.types((step.source,))[0]
                if not isinstance(given, TensorType):
                    raise _invalid(f"it copies {given}")
                scope.write((step.target,), (given,), "a copy")
            elif isinstance(step, Host):
                scope.types([slot for slot in step.inputs if slot != -1])
                scope.write(step.outputs, None, step.operator)
            elif isinstance(step, Sizes):
                given = scope.types((step.source,))[0]
                if not isinstance(given, TensorType) or given.dtype.name not in ("int32", "int64"):
                    raise _invalid(f"it reads sizes from {given}")
            elif isinstance(step, If):
                scope.read((step.condition,), (_CONDITION,), "a condition")
                given_types, wanted = scope.types(step.inputs), scope.write(step.outputs, None, "a branch")
                for branch in (step.then_block, step.else_block):
                    self.block(branch, given_types, wanted, "a branch")
            else:
                self._loop(step, scope)
        scope.read(block.results, results, f"a result of {what}")

    def _loop(self, step: Loop, scope: _Scope) -> None:
        if step.trip_count != -1:
            scope.read((step.trip_count,), (_ITERATION,), "a trip count")
        if step.condition != -1:
            scope.read((step.condition,), (_CONDITION,), "a condition")
        carried, invariants = scope.types(step.carried), scope.types(step.invariants)
        if len(step.outputs) < len(carried):
            raise _invalid("a loop has fewer results than carried values")
        outputs = scope.write(step.outputs, None, "a loop")
        scans = outputs[len(carried) :]
        if not all(isinstance(type_, TensorType) for type_ in scans):
            raise _invalid("a loop stacks something else than tensors")
        for given, wanted in zip(carried, outputs):
            self.expect(given, wanted, "a carried value")
        self.block(
            step.body,
            [_ITERATION, _CONDITION, *carried, *invariants],
            [_CONDITION, *outputs[: len(carried)], *scans],
            "a loop",
        )


class _Scope:
    """The slots of one block that have a value."""

    def __init__(self, checker: _Checker, defined: set[int]) -> None:
        self.checker = checker
        self.defined = defined

    def types(self, slots: Sequence[int]) -> list[ValueType]:
        """The types of slots that are read."""
        for slot in slots:
            if slot not in self.defined:
                raise _invalid(f"it reads slot {slot} before that has a value")
        return [self.checker.plan.slots[slot] for slot in slots]

    def read(self, slots: Slots, wanted: Sequence[ValueType], what: str) -> None:
        if len(slots) != len(wanted):
            raise _invalid(f"{len(slots)} values are read where {len(wanted)} are expected, at {what}")
        for given, type_ in zip(self.types(slots), wanted):
            self.checker.expect(given, type_, what)

    def write(self, slots: Slots, given: Sequence[ValueType] | None, what: str) -> list[ValueType]:
        """Define slots. `given` is what comes, None if the runtime checks it when it comes."""
        for slot in slots:
            self.checker.within("slot", slot, len(self.checker.plan.slots))
        if given is not None and len(slots) != len(given):
            raise _invalid(f"{len(given)} values are written to {len(slots)} slots, at {what}")
        wanted = [self.checker.plan.slots[slot] for slot in slots]
        for type_, slot_type in zip(given or (), wanted):
            self.checker.expect(type_, slot_type, what)
        self.defined.update(slots)
        return wanted
