"""Calls of core ATen overloads, taken from PyTorch's own samples (OpInfo), and our answer to each.

A sample is run under a mode that takes operators apart by PyTorch's core rules and notes each core overload with its
arguments. A call becomes a network of one operator, which is built and run and must equal eager.
"""

from __future__ import annotations

import operator
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import mm_parser_torch.tensors as tensors
import torch
import torch.utils._pytree as pytree
from mm_parser_torch.complexes import Complex
from mm_parser_torch.reader import Reader
from torch._subclasses import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

import mm_core as mm

DTYPES = (
    torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int8, torch.uint8,
    torch.bool,
)  # fmt: skip
SOURCES: dict[str, tuple[str, ...]] = {
    "_adaptive_avg_pool2d": ("nn.functional.adaptive_avg_pool2d",),
    "_adaptive_avg_pool3d": ("nn.functional.adaptive_avg_pool3d",),
    "_cdist_forward": ("cdist",),
    "_embedding_bag": ("nn.functional.embedding_bag",),
    "_fft_c2r": ("fft.irfft", "fft.hfft"),
    "_fft_r2c": ("fft.rfft", "fft.ihfft", "stft"),
    "_local_scalar_dense": ("item",),
    "_log_softmax": ("log_softmax", "nn.functional.log_softmax", "nn.functional.cross_entropy"),
    "_native_batch_norm_legit": ("_native_batch_norm_legit", "nn.functional.batch_norm"),
    "_native_batch_norm_legit_no_training": ("nn.functional.batch_norm", "native_batch_norm"),
    "_pdist_forward": ("nn.functional.pdist",),
    "_softmax": ("softmax", "nn.functional.softmax"),
    "_to_copy": ("_to_copy", "to", "float", "long", "bool"),
    "adaptive_avg_pool1d": ("nn.functional.adaptive_avg_pool1d",),
    "addmm": ("addmm", "nn.functional.linear"),
    "alias": ("alias_copy", "view_as", "detach"),
    "arange": ("arange", "linspace"),
    "as_strided": ("as_strided", "as_strided_copy"),
    "avg_pool1d": ("nn.functional.avg_pool1d",),
    "avg_pool2d": ("nn.functional.avg_pool2d",),
    "avg_pool3d": ("nn.functional.avg_pool3d",),
    "bmm": ("bmm", "matmul"),
    "clone": ("clone", "contiguous"),
    "col2im": ("nn.functional.fold",),
    "constant_pad_nd": ("nn.functional.pad", "constant_pad_nd"),
    "convolution": tuple(f"nn.functional.conv{t}{n}d" for t in ("", "_transpose") for n in (1, 2, 3)),
    "copy": ("fill", "select_scatter", "slice_scatter", "diagonal_scatter", "copysign"),
    "div": ("div", "true_divide", "floor_divide"),
    "elu": ("nn.functional.elu", "nn.functional.selu", "nn.functional.celu"),
    "embedding": ("nn.functional.embedding",),
    "expand": ("expand", "broadcast_to", "expand_as"),
    "fmod": ("fmod",),
    "full": ("full", "new_full", "ones", "zeros"),
    "full_like": ("full_like", "ones_like", "zeros_like"),
    "gelu": ("nn.functional.gelu",),
    "grid_sampler_2d": ("grid_sampler_2d", "nn.functional.grid_sample"),
    "hardtanh": ("nn.functional.hardtanh", "nn.functional.relu6"),
    "index": ("__getitem__", "index_add", "take"),
    "index_put": ("index_put", "index_fill", "index_add"),
    "leaky_relu": ("nn.functional.leaky_relu",),
    "max": ("max", "cummax"),
    "max_pool2d_with_indices": ("nn.functional.max_pool2d", "nn.functional.max_pool1d"),
    "max_pool3d_with_indices": ("nn.functional.max_pool3d",),
    "mm": ("mm", "matmul", "nn.functional.linear"),
    "native_dropout": ("nn.functional.dropout",),
    "native_group_norm": ("nn.functional.group_norm",),
    "native_layer_norm": ("nn.functional.layer_norm", "native_layer_norm"),
    "permute": ("permute", "transpose", "movedim"),
    "reflection_pad1d": ("nn.functional.pad",),
    "reflection_pad2d": ("nn.functional.pad",),
    "reflection_pad3d": ("nn.functional.pad",),
    "relu": ("nn.functional.relu",),
    "replication_pad2d": ("nn.functional.pad",),
    "replication_pad3d": ("nn.functional.pad",),
    "scatter_reduce": ("scatter_reduce",),
    "select": ("select", "unbind", "__getitem__"),
    "slice": ("narrow", "__getitem__", "chunk", "roll"),
    "split_with_sizes": ("split_with_sizes", "split", "chunk"),
    "sub": ("sub", "rsub"),
    "upsample_bilinear2d": ("nn.functional.interpolate", "nn.functional.upsample_bilinear"),
    "upsample_nearest2d": ("nn.functional.interpolate", "nn.functional.upsample_nearest"),
    "var": ("var", "std", "var_mean"),
    "view": ("view", "reshape", "flatten", "unflatten"),
    "where": ("where", "masked_fill"),
}
"""Operators of OpInfo whose samples call an overload; where nothing is said, the one of the same name."""


@dataclass(frozen=True)
class Case:
    """One call and what eager makes of it."""

    overload: torch._ops.OpOverload
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    expected: Any

    def __str__(self) -> str:
        def show(value: Any) -> str:
            return f"{value.dtype}{list(value.shape)}" if isinstance(value, torch.Tensor) else repr(value)

        shown = [show(v) if not isinstance(v, (list, tuple)) else str([*map(show, v)]) for v in self.args]
        return f"{self.overload}({', '.join(shown)}{', ' + str(self.keywords) if self.keywords else ''})"


@cache
def core_overloads() -> tuple[torch._ops.OpOverload, ...]:
    """Every overload with the tag `core`, by name."""
    found = {}
    for name in torch._C._dispatch_get_all_op_names():
        if name.startswith("aten::"):
            packet, _, overload = name[len("aten::") :].partition(".")
            operator = getattr(getattr(torch.ops.aten, packet), overload or "default", None)
            if operator is not None and torch.Tag.core in operator.tags:
                found[str(operator)] = operator
    return tuple(found[name] for name in sorted(found))


class _Recorder(TorchDispatchMode):
    """Notes calls of one overload while operators are taken apart by PyTorch's core rules."""

    def __init__(self, overload: torch._ops.OpOverload) -> None:
        super().__init__()
        self.overload = overload
        self.calls: list[tuple[Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is self.overload:
            keep = pytree.tree_map_only(torch.Tensor, lambda t: t.detach(), (args, kwargs))
            self.calls.append(_frozen(keep))
            return func(*args, **kwargs)
        rule = _rules().get(func)
        if rule is not None and torch.Tag.core not in func.tags:
            with self:
                answer = rule(*args, **kwargs)
            if answer is not NotImplemented:
                return answer
        return func(*args, **kwargs)


def _frozen(arguments: Any) -> Any:
    """Copies with the same strides, so that later changes do not show."""

    def copy(tensor: torch.Tensor) -> torch.Tensor:
        return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype).copy_(tensor)

    return pytree.tree_map_only(torch.Tensor, copy, arguments)


@cache
def _rules() -> dict[Any, Any]:
    return torch._decomp.core_aten_decompositions()


@cache
def _opinfos() -> dict[str, list[Any]]:
    from torch.testing._internal.common_methods_invocations import op_db

    found = defaultdict(list)
    for info in op_db:
        found[info.name].append(info)
    return found


def recorded(overload: torch._ops.OpOverload, dtype: torch.dtype) -> Iterator[Case]:
    """Calls of an overload by samples of an element type, each kind of call once."""
    packet = str(overload).split(".")[1]
    seen: set[str] = set()
    for name in SOURCES.get(packet, (packet,)):
        for info in _opinfos().get(name, ()):
            if dtype not in info.supported_dtypes("cpu"):
                continue
            torch.manual_seed(0)
            try:
                samples = list(info.sample_inputs("cpu", dtype, requires_grad=False))
            except Exception:  # A sample generator that cannot make this type says so in many ways.
                continue
            for sample in samples:
                for args, keywords in _calls(overload, info, sample):
                    case = Case(overload, args, keywords, None)
                    if str(case) not in seen:
                        seen.add(str(case))
                        yield case

    yield from _handmade(overload, dtype)


def _handmade(overload: torch._ops.OpOverload, dtype: torch.dtype) -> Iterator[Case]:
    """Calls that no sample leads to: overloads for numbers, and those that are taken apart before a mode sees them."""
    name = str(overload).removeprefix("aten.")
    if name.endswith((".Scalar", ".Scalar_mode", ".Tensor_Scalar")) and name in _BY_NUMBER:
        original = getattr(overload.overloadpacket, _BY_NUMBER[name])
        for case in recorded(original, dtype):
            first, second, *rest = case.args
            number: Any = 2 if not dtype.is_floating_point else 1.5
            args = (number, second) if name == "pow.Scalar" else (first, number)
            if isinstance(args[0] if name != "pow.Scalar" else args[1], torch.Tensor):
                yield Case(overload, (*args, *rest), case.keywords, None)
        return
    try:
        found = HANDMADE.get(name, lambda x: ())(_example(dtype))
    except NotImplementedError:  # The example itself is not to be had in this type.
        return
    for args in found:
        yield Case(overload, tuple(args), {}, None)


_BY_NUMBER = {
    f"{packet}.Scalar": "Tensor"
    for packet in (
        "add", "sub", "mul", "div", "eq", "ne", "lt", "le", "gt", "ge", "fmod", "remainder",
        "bitwise_and", "bitwise_or", "bitwise_xor",
    )
} | {"pow.Scalar": "Tensor_Tensor", "pow.Tensor_Scalar": "Tensor_Tensor", "div.Scalar_mode": "Tensor_mode"}  # fmt: skip


def _example(dtype: torch.dtype) -> torch.Tensor:
    """[2, 3, 6] of small numbers of both signs."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(-9, 10, (2, 3, 6), generator=generator).div(2).to(dtype)


HANDMADE: dict[str, Any] = {
    "adaptive_avg_pool1d.default": lambda x: [(x, [3]), (x, [4]), (x[0], [1])],
    "alias.default": lambda x: [(x,), (x[0, 0, 0],)],
    "avg_pool1d.default": lambda x: [(x, [2]), (x, [3], [2], [1], True, False), (x[0], [3], [1])],
    "clamp.default": lambda x: [(x, -1, 2), (x, None, 1), (x, 2, None), (x, 3, -3)],
    "col2im.default": lambda x: [
        (x.reshape(1, 4, 9), [4, 4], [2, 2], [1, 1], [0, 0], [1, 1]),
        (x.reshape(9, 4), [4, 4], [3, 3], [1, 1], [0, 0], [1, 1]),
    ],
    "copy.default": lambda x: [(x, x[0]), (x, x.flip(0)), (x, torch.ones(6))],
    "native_dropout.default": lambda x: [(x, 0.5, False), (x, 0.0, True)],
    "_native_batch_norm_legit_no_training.default": lambda x: [
        (x, x[0, :, 0], x[1, :, 0], x[0, :, 1], x[1, :, 1].abs() + 1, 0.1, 1e-5),
        (x, None, None, x[0, :, 1], x[1, :, 1].abs() + 1, 0.1, 1e-3),
    ],
    "rand.default": lambda x: [([3, 4],)],
    "randperm.default": lambda x: [(7,)],
    "sym_numel.default": lambda x: [(x,)],
    "sym_size.int": lambda x: [(x, 0), (x, -1)],
    "sym_storage_offset.default": lambda x: [(x,)],
    "sym_is_contiguous.default": lambda x: [(x,)],
    "sym_stride.int": lambda x: [(x, 0), (x, -1)],
    "upsample_bilinear2d.vec": lambda x: [
        (x[None], [5, 7], False, None), (x[None], [5, 7], True, None), (x[None], None, False, [1.5, 2.0]),
        (x[None], None, True, [1.7, 0.6]),
    ],
    "upsample_nearest2d.vec": lambda x: [(x[None], [5, 7], None), (x[None], None, [1.7, 2.0])],
    "var.dim": lambda x: [(x, [1]), (x, [0, 2], False, True), (x, [-1], True, False)],
    "_embedding_bag.default": lambda x: [
        (x[0].T.contiguous(), torch.tensor([0, 5, 2, 2]), torch.tensor([0, 1]), False, mode) for mode in (0, 1, 2)
    ],
}  # fmt: skip
"""Arguments by overload, made of an example tensor."""


def _calls(overload: torch._ops.OpOverload, info: Any, sample: Any) -> list[tuple[Any, Any]]:
    recorder = _Recorder(overload)
    try:
        with recorder, torch.no_grad():
            info.op(sample.input, *sample.args, **sample.kwargs)
    except Exception:  # What eager refuses is no case.
        pass
    return recorder.calls


def cases(overload: torch._ops.OpOverload, limit: int, dtypes: Sequence[torch.dtype] = DTYPES) -> Iterator[Case]:
    """Cases of an overload over element types, `limit` at most for each, spread over what PyTorch has."""
    for dtype in dtypes:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = list(recorded(overload, dtype))
        step = max(1, -(-len(found) // limit))
        for case in found[::step]:
            args, keywords = _frozen((case.args, case.keywords))
            try:
                expected = overload(*args, **keywords)
                if str(overload) in FIRST_RESULT:
                    expected = expected[:1]
            except Exception:  # What eager refuses is no case.
                continue
            yield Case(overload, case.args, case.keywords, expected)


# --- ours -------------------------------------------------------------------------------------------------------------


def network_of(case: Case) -> tuple[mm.Network, dict[str, Any]]:
    """A network of the one call, and its inputs."""
    fake = FakeTensorMode(allow_non_fake_inputs=True)
    graph = torch.fx.Graph()
    leaves, spec = pytree.tree_flatten((case.args, case.keywords))
    inputs: dict[str, torch.Tensor] = {}
    bound = []
    for leaf in leaves:
        if isinstance(leaf, torch.Tensor):
            node = graph.placeholder(f"x{len(inputs)}")
            node.meta["val"] = fake.from_tensor(leaf)
            inputs[node.name] = leaf
            bound.append(node)
        else:
            bound.append(leaf)
    args, keywords = pytree.tree_unflatten(bound, spec)
    call = graph.call_function(case.overload, args, keywords)
    several = isinstance(case.expected, (tuple, list))
    call.meta["val"] = pytree.tree_map_only(torch.Tensor, fake.from_tensor, case.expected)
    if several:
        outputs = []
        for index, value in enumerate(case.expected):
            node = graph.call_function(operator.getitem, (call, index))
            node.meta["val"] = fake.from_tensor(value) if isinstance(value, torch.Tensor) else value
            outputs.append(node)
        graph.output(tuple(outputs))
    else:
        graph.output(call)
    module = torch.fx.GraphModule({}, graph)
    network = mm.Network(str(case.overload))
    reader = Reader()
    values = [reader.argument(network, x, name) for name, x in inputs.items()]
    results = reader.read(module, network, values)
    reader.unsupported.raise_all()
    for index, value in enumerate(results):
        parts = [value.real, value.imaginary] if isinstance(value, Complex) else [value]
        for part in parts:
            network.mark_output(network.identity(part), f"y{index}.{len(network.outputs)}")
    return network, {name: tensors.array_of(part) for key, x in inputs.items() for name, part in _parts(key, x)}


def _parts(name: str, x: torch.Tensor) -> list[tuple[str, torch.Tensor]]:
    return [(f"{name}.real", x.real), (f"{name}.imag", x.imag)] if x.is_complex() else [(name, x)]


def answer(case: Case) -> list[torch.Tensor]:
    """What the CPU backend makes of the call; it may hand nothing over."""
    network, inputs = network_of(case)
    model = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
    results = model.create_engine(threads=1).create_context().run(inputs)
    return [tensors.tensor_of(array) for array in results.values()]


COMPLEX_ONLY = frozenset({"aten._fft_c2r.default"})
"""Overloads whose importer is among those for complex arguments."""

CHANCE = frozenset({
    "aten.rand.default", "aten.randn.default", "aten.randperm.default", "aten.empty.memory_format",
    "aten.empty_strided.default", "aten.resize_.default",
})  # fmt: skip
"""Whose elements are random or what memory held: types are compared, test_core_operators.py judges the rest."""

FIRST_RESULT = frozenset({"aten._embedding_bag.default"})
"""Whose further results serve the gradient alone."""

UNORDERED = frozenset({"aten.topk.default", "aten.sort.default"})
"""Which of equal elements comes first is not specified: places must lead to the values."""


SUMS = frozenset({"aten.convolution.default"})
"""Long sums whose order is free: terms may cancel, so that the largest result is the measure in float32."""


def _is_complex(value: object) -> bool:
    return isinstance(value, torch.Tensor) and value.is_complex()


def is_nearer(case: Case, results: list[torch.Tensor]) -> bool:
    """Whether results in halves are at least as near as eager's to what eager computes in float64."""

    def wide(value: torch.Tensor) -> torch.Tensor:
        return value.double() if value.is_floating_point() else value

    args, keywords = pytree.tree_map_only(torch.Tensor, wide, (case.args, case.keywords))
    exact = case.overload(*args, **keywords)
    triples = zip(*(pytree.tree_leaves(found) for found in (results, case.expected, exact)))
    return all(
        (mine - best).abs().max() <= (theirs - best).abs().max() for mine, theirs, best in triples if mine.numel()
    )


TOLERANCE = {torch.float16: (1e-3, 1e-3), torch.bfloat16: (1.6e-2, 1e-2), torch.float32: (1e-5, 1e-5)}
"""Relative and absolute, as torch.testing has them (float32: relative 1.3e-6 there); float64 and others: its own."""


def compare(case: Case, results: list[torch.Tensor]) -> None:
    """AssertionError where a result is not eager's."""
    expected = list(case.expected) if isinstance(case.expected, (tuple, list)) else [case.expected]
    expected = [part for x in expected for part in ([x.real, x.imag] if _is_complex(x) else [x])]
    assert len(results) == len(expected), f"{len(results)} results for {len(expected)}"
    if str(case.overload) in UNORDERED:
        x = case.args[0]
        axis = ([*case.args, *case.keywords.values()] + [-1])[1 if "sort" in str(case.overload) else 2] if x.ndim else 0
        torch.testing.assert_close(x.gather(int(axis), results[1]), results[0], rtol=0, atol=0, equal_nan=True)
        results, expected = results[:1], expected[:1]
    for mine, theirs in zip(results, expected):
        if not isinstance(theirs, torch.Tensor):
            theirs = torch.tensor(theirs, dtype=mine.dtype)
        if str(case.overload) in CHANCE:
            assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
            continue
        relative, absolute = TOLERANCE.get(theirs.dtype, (None, None))
        if str(case.overload) in SUMS and theirs.dtype is torch.float32 and theirs.numel():
            absolute = max(1e-5, 1e-6 * float(theirs.abs().max()))
        torch.testing.assert_close(mine, theirs, rtol=relative, atol=absolute, equal_nan=True)
