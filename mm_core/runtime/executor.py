"""Executes a plan's blocks for one request: allocates values, submits launches and copies, follows control flow.

Everything is submitted as early as its data allows: a launch carries the events of its inputs, so a device queue can
go on by itself while the host works on other parts. The host waits only where it must look at a value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, Any

import numpy as np

from mm_core.device import HOST, PAGE_BYTES, Bound, Buffer, Event, Observer, Prediction, Shortcut
from mm_core.errors import DeviceError, InputError, MMError
from mm_core.model.plan import Block, Copy, Host, If, Launch, Loop, Plan, Sizes, Slots
from mm_core.runtime.binding import check_limits
from mm_core.runtime.host import conformed, host_function
from mm_core.runtime.launching import Ready, Tensor, make_ready, part_dims
from mm_core.types import Array, TensorSpec, TensorType, evaluate, symbols

if TYPE_CHECKING:
    from mm_core.runtime.engine import Engine, LoadedPart


class Executor:
    """Runs requests of one context: holds its device queues, bound programs and workspaces."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.queues = [device.create_queue() for device in engine.devices]
        self._bound: dict[tuple[int, tuple[tuple[str, int], ...]], Ready] = {}
        self._workspaces: dict[int, Buffer] = {}
        self._constants: dict[int, Tensor] = {}
        main = engine.plan.main
        self._told = {name: step.where for step in main.walk() if isinstance(step, Sizes) for name in step.names}
        made = {slot for step in main.instructions if isinstance(step, Launch) for slot in step.outputs}
        self._named = _named_sizes(engine.plan, {*self._told, *_input_symbols(engine.model.inputs)})
        self._fresh = {
            index for index, slot in enumerate(main.results) if slot in made and main.results.index(slot) == index
        }

    def predictions(self) -> list[tuple[str, Prediction]]:
        """What devices that stand in for hardware predict, for every part and sizes that have run."""
        return [
            (self.engine.devices[part.info.device].name, prediction)
            for (number, _), ready in self._bound.items()
            for part in (self.engine.parts[number],)
            for prediction in part.program.predictions(ready.bound)
        ]

    def shortcut(self, dims: Mapping[str, int]) -> Shortcut | None:
        """A shorter way for requests of these sizes, where the plan is one launch and its device knows one."""
        engine, main = self.engine, self.engine.plan.main
        step = main.instructions[0] if len(main.instructions) == 1 else None
        if not isinstance(step, Launch) or sorted(step.outputs) != sorted(main.results):
            return None
        part = engine.parts[step.part]
        ready = self._bound.get((step.part, tuple(part_dims(part.info, (), dims).items())))
        places = {slot: index for index, slot in enumerate(step.inputs)}
        if ready is None or part.space != HOST or not places.keys() <= set(main.arguments):
            return None
        inputs = [(spec, places.get(slot, -1)) for spec, slot in zip(engine.model.inputs, main.arguments)]
        outputs = [(spec, step.outputs.index(slot)) for spec, slot in zip(engine.model.outputs, main.results)]
        known = [[(_bound_spec(spec, dims), place) for spec, place in specs] for specs in (inputs, outputs)]
        if not all(isinstance(spec.type, TensorType) and spec.type.is_static for spec, _ in (*known[0], *known[1])):
            return None
        return part.program.shortcut(ready.bound, *known)

    def close(self) -> None:
        """Finish what was submitted and give the device queues back."""
        for queue in self.queues:
            queue.close()

    def run(
        self,
        values: Sequence[Any],
        dims: Mapping[str, int],
        outputs: Mapping[int, Array],
        observer: Observer | None,
    ) -> list[Any]:
        """The results of the main block as arrays, lists or None. `outputs` gives arrays to fill, by result number."""
        main = self.engine.plan.main
        wanted = self._writable(values, outputs) if outputs else {}
        arguments = [self._from_host(value) for value in values]
        results = self._block(main, arguments, dims, wanted, observer)
        finished = [self._to_host(value) for value in results]
        for index in range(len(finished)):
            finished[index] = self._own(finished[index], outputs.get(index), fresh=index in self._fresh)
        return finished

    def _writable(self, values: Sequence[Any], outputs: Mapping[int, Array]) -> dict[int, Array]:
        """The caller's arrays that results may be computed into, by slot: those that overlap nothing else of his."""
        held = [*_arrays(values), *outputs.values()]
        results = self.engine.plan.main.results
        return {
            results[index]: target
            for index, target in outputs.items()
            if sum(np.may_share_memory(target, other) for other in held) == 1
        }

    @staticmethod
    def _own(value: Any, target: Array | None, fresh: bool) -> Any:
        """Results belong to the caller: what no launch of this request made for it alone is copied."""
        if isinstance(value, list):
            return [Executor._own(item, None, fresh=False) for item in value]
        if not isinstance(value, np.ndarray):
            return value
        if target is not None:
            if target.shape != value.shape:
                shapes = f"{list(value.shape)}, the array given for it {list(target.shape)}"
                raise InputError(f"the output has shape {shapes}")
            if value is not target:
                np.copyto(target, value)
            return target
        return value if fresh else value.copy()

    # --- values -----------------------------------------------------------------------------------------------------

    def _from_host(self, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return Tensor(Buffer(self.engine.dtype_of(value), value.shape, value))
        return value

    def _to_host(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            if value.event is not None:
                value.event.wait()
                value.event = None
            return value.buffer.array
        return value

    def _scalar(self, value: Any, where: str) -> Any:
        array = self._to_host(value)
        if array.size != 1:
            raise InputError(f"a condition or trip count has {array.size} elements, one is expected", where=where)
        return array.reshape(())[()]

    # --- blocks -----------------------------------------------------------------------------------------------------

    def _block(
        self,
        block: Block,
        arguments: Sequence[Any],
        dims: Mapping[str, int],
        wanted: Mapping[int, Array],
        observer: Observer | None,
    ) -> list[Any]:
        slots: dict[int, Any] = dict(zip(block.arguments, arguments))
        slots[-1] = None
        dims = self._learned(block.arguments, slots, dims)
        for step in block.instructions:
            if isinstance(step, Launch):
                self._launch(step, slots, dims, wanted, observer)
            elif isinstance(step, Copy):
                self._copy(step, slots)
            elif isinstance(step, Host):
                self._host(step, slots)
            elif isinstance(step, Sizes):
                dims = {**dims, **self._sizes(step, slots)}
            elif isinstance(step, If):
                self._if(step, slots, dims, observer)
            else:
                self._loop(step, slots, dims, observer)
            if not isinstance(step, (Copy, Sizes)):
                dims = self._learned(step.outputs, slots, dims)
        return [self._get(slots, slot) for slot in block.results]

    def _learned(self, made: Slots, slots: Mapping[int, Any], dims: Mapping[str, int]) -> Mapping[str, int]:
        """The sizes known, with those that the shapes of new values tell: later parts may see but their products."""
        found = {
            name: slots[slot].buffer.shape[axis]
            for slot in made
            for axis, name in self._named.get(slot, ())
            if isinstance(slots[slot], Tensor)
        }
        return {**found, **dims} if found else dims

    def _get(self, slots: dict[int, Any], slot: int) -> Any:
        if slot in slots:
            return slots[slot]
        value = self._constants.get(slot)
        if value is None:
            array = self.engine.model.constants[self.engine.plan.constants[slot]].numpy()
            value = self._constants[slot] = Tensor(Buffer(self.engine.dtype_of(array), array.shape, array))
        return value

    def _launch(
        self,
        step: Launch,
        slots: dict[int, Any],
        dims: Mapping[str, int],
        wanted: Mapping[int, Array],
        observer: Observer | None,
    ) -> None:
        part = self.engine.parts[step.part]
        inputs = [self._get(slots, slot) for slot in step.inputs]
        sizes = part_dims(part.info, inputs, dims) if part.info.symbols else {}
        ready = self._bind(step.part, part, sizes)
        ready.check(inputs, part)
        bound = ready.bound
        try:
            outputs = self._outputs(step, part, bound, wanted)
            workspace = self._workspace(part.info.device, bound.workspace_bytes)
        except MMError as error:
            raise self._explained(error, sizes) from error
        events = [t.event for t in inputs if t is not None and t.event is not None]
        event = self.queues[part.info.device].launch(
            bound, [None if t is None else t.buffer for t in inputs], outputs, workspace, events, observer
        )
        pending = _pending(event)
        if None in outputs:
            event.wait()
            produced = iter(event.produced())
            outputs = [next(produced) if buffer is None else buffer for buffer in outputs]
        for slot, buffer in zip(step.outputs, outputs):
            assert buffer is not None
            slots[slot] = Tensor(buffer, pending)

    def _bind(self, number: int, part: LoadedPart, sizes: Mapping[str, int]) -> Ready:
        key = (number, tuple(sizes.items()))
        ready = self._bound.get(key)
        if ready is None:
            if len(self._bound) >= 256:
                self._bound.clear()
            check_limits(sizes, {}, part.info.guards)
            try:
                ready = self._bound[key] = make_ready(part.program.bind(sizes), part.info, sizes)
            except MMError as error:
                raise self._explained(error, sizes) from error
        return ready

    def _outputs(
        self, step: Launch, part: LoadedPart, bound: Bound, wanted: Mapping[int, Array]
    ) -> list[Buffer | None]:
        """Memory for the results of a launch; None where the device tells their sizes afterwards."""
        outputs: list[Buffer | None] = []
        for slot, type_, shape in zip(step.outputs, part.info.outputs, bound.output_shapes):
            assert isinstance(type_, TensorType)
            target = wanted.get(slot)
            if shape is None:
                outputs.append(None)
            elif target is not None and part.space == HOST and target.shape == shape and target.flags.carray:
                outputs.append(Buffer(type_.dtype, shape, target))
            else:
                outputs.append(self.engine.devices[part.info.device].allocate(type_.dtype, shape))
        return outputs

    def _explained(self, error: MMError, sizes: Mapping[str, int]) -> MMError:
        """An error of sizes that cannot be run: of the request, and naming the nodes, if its data told them."""
        told = [name for name in sizes if name in self._told]
        if not told:
            return error
        return InputError(
            f"{', '.join(f'{name} = {sizes[name]}' for name in told)}, which data tell, cannot be run: {error.what}",
            where=", ".join(dict.fromkeys(self._told[name] for name in told)),
            remedy="check what these sizes are computed from",
        )

    def _workspace(self, device: int, size: int) -> Buffer | None:
        if not size:
            return None
        size = -(-size // PAGE_BYTES) * PAGE_BYTES
        held = self._workspaces.get(device)
        if held is None or held.nbytes < size:
            if held is not None:
                self.queues[device].synchronize()
            held = self._workspaces[device] = self.engine.devices[device].allocate(self.engine.byte, (size,))
        return held

    def _copy(self, step: Copy, slots: dict[int, Any]) -> None:
        value = self._get(slots, step.source)
        device = step.target_device if step.target_device != -1 else step.source_device
        source = value.buffer
        if step.target_device == -1 or self.engine.spaces[step.target_device] == HOST:
            target = self.engine.host.allocate(source.dtype, source.shape)
        else:
            target = self.engine.devices[step.target_device].allocate(source.dtype, source.shape)
        event = self.queues[device if self.engine.spaces[device] != HOST else step.source_device].copy(
            source, target, () if value.event is None else (value.event,)
        )
        slots[step.target] = Tensor(target, _pending(event))

    def _host(self, step: Host, slots: dict[int, Any]) -> None:
        arguments = [self._to_host(self._get(slots, slot)) for slot in step.inputs]
        try:
            results = host_function(step.operator)(*arguments, **step.attributes)
            results = (results,) if len(step.outputs) == 1 else tuple(results)
            if len(results) != len(step.outputs):
                raise InputError(f"{step.operator} gave {len(results)} results instead of {len(step.outputs)}")
            for slot, value in zip(step.outputs, results):
                slots[slot] = self._from_host(conformed(value, self.engine.plan.slots[slot]))
        except MMError as error:
            raise error.located(step.where) from None
        except MemoryError as error:
            raise DeviceError(f"{step.operator} ran out of memory", where=step.where) from error
        except Exception as error:  # Code of an operator package, which may fail in any way.
            raise InputError(f"{step.operator} failed: {error}", where=step.where) from error

    def _sizes(self, step: Sizes, slots: dict[int, Any]) -> dict[str, int]:
        array = self._to_host(self._get(slots, step.source)).reshape(-1)
        if array.size != len(step.names):
            raise InputError(f"{len(step.names)} sizes are expected, {array.size} came", where=step.where)
        if array.size and array.min() < 0:
            raise InputError(f"a size is {array.min()}", where=step.where, remedy="check what it is computed from")
        return dict(zip(step.names, array.tolist()))

    def _if(self, step: If, slots: dict[int, Any], dims: Mapping[str, int], observer: Observer | None) -> None:
        chosen = step.then_block if self._scalar(self._get(slots, step.condition), step.where) else step.else_block
        arguments = [self._get(slots, slot) for slot in step.inputs]
        for slot, value in zip(step.outputs, self._block(chosen, arguments, dims, {}, observer)):
            slots[slot] = value

    def _loop(self, step: Loop, slots: dict[int, Any], dims: Mapping[str, int], observer: Observer | None) -> None:
        limit = None if step.trip_count == -1 else int(self._scalar(self._get(slots, step.trip_count), step.where))
        going = step.condition == -1 or bool(self._scalar(self._get(slots, step.condition), step.where))
        carried = [self._get(slots, slot) for slot in step.carried]
        fixed = [self._get(slots, slot) for slot in step.invariants]
        scans: list[list[Array]] = [[] for _ in range(len(step.outputs) - len(carried))]
        iteration = 0
        while going and (limit is None or iteration < limit):
            arguments = [
                self._from_host(np.array(iteration, np.int64)),
                self._from_host(np.array(going, np.bool_)),
                *carried,
                *fixed,
            ]
            results = self._block(step.body, arguments, dims, {}, observer)
            going = bool(self._scalar(results[0], step.where))
            carried = results[1 : 1 + len(carried)]
            for collected, value in zip(scans, results[1 + len(carried) :]):
                collected.append(self._to_host(value))
            iteration += 1
        for slot, value in zip(step.outputs, carried):
            slots[slot] = value
        for slot, collected in zip(step.outputs[len(carried) :], scans):
            slots[slot] = self._from_host(self._stack(slot, collected, dims, step.where))

    def _stack(self, slot: int, collected: list[Array], dims: Mapping[str, int], where: str) -> Array:
        if collected:
            try:
                return np.stack(collected)
            except ValueError as error:
                raise InputError(f"a scan output changes its shape: {error}", where=where) from error
        type_ = self.engine.plan.slots[slot]
        assert isinstance(type_, TensorType)
        sizes = [evaluate(dim, dims) for dim in (type_.shape or (0,))[1:]]
        return np.empty([0, *(max(size, 0) if isinstance(size, int) else 0 for size in sizes)], type_.dtype.numpy)


def _pending(event: Event) -> Event | None:
    """What is still to be waited for. Raises what the work has already failed with: nobody would look again."""
    if not event.is_done:
        return event
    event.wait()
    return None


def _named_sizes(plan: Plan, bound: Set[str]) -> dict[int, tuple[tuple[int, str], ...]]:
    """The axes of slots whose size has a name that neither a request's inputs nor an instruction binds."""
    named: dict[int, tuple[tuple[int, str], ...]] = {}
    for slot, type_ in enumerate(plan.slots):
        shape = (type_.shape or ()) if isinstance(type_, TensorType) else ()
        axes = tuple((axis, str(dim)) for axis, dim in enumerate(shape) if symbols(dim) - bound == {str(dim)})
        if axes:
            named[slot] = axes
    return named


def _input_symbols(specs: Sequence[TensorSpec]) -> set[str]:
    return {
        name for spec in specs if isinstance(spec.type, TensorType) for dim in spec.shape or () for name in symbols(dim)
    }


def _bound_spec(spec: TensorSpec, dims: Mapping[str, int]) -> TensorSpec:
    type_ = spec.type
    if not isinstance(type_, TensorType) or type_.shape is None:
        return spec
    return TensorSpec.of(spec.name, type_.with_shape(evaluate(dim, dims) for dim in type_.shape))


def _arrays(values: Sequence[Any]) -> list[Array]:
    """All arrays among values, those inside sequences included."""
    found: list[Array] = []
    for value in values:
        if isinstance(value, list):
            found += _arrays(value)
        elif isinstance(value, np.ndarray):
            found.append(value)
    return found
