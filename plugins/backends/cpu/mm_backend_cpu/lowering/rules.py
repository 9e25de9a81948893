"""Which rule lowers which operator: generated kernels first, then the native library. This table is the support.

Rules of other packages are asked before our own: see `third_party`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from mm_backend_cpu.codegen.operations import operation_names
from mm_backend_cpu.lowering.attention import check_attention, lower_attention
from mm_backend_cpu.lowering.contraction import check_matmul, lower_matmul
from mm_backend_cpu.lowering.convolution import check_conv, check_conv_transpose, lower_conv, lower_conv_transpose
from mm_backend_cpu.lowering.dequantized import check_dequantized, lower_dequantized
from mm_backend_cpu.lowering.dynamic_quantize import lower_dynamic_quantize
from mm_backend_cpu.lowering.elementwise import ELEMENTWISE, check_elementwise, lower_elementwise
from mm_backend_cpu.lowering.group import Group, GroupRule, in_groups
from mm_backend_cpu.lowering.integer_matmul import check_integer_matmul, lower_integer_matmul
from mm_backend_cpu.lowering.inverted_residual import INVERTED_RESIDUAL
from mm_backend_cpu.lowering.library import LIBRARY, check_library, lower_library
from mm_backend_cpu.lowering.lowering import Lowering
from mm_backend_cpu.lowering.movement import (
    always,
    check_concat,
    check_expand,
    check_gather,
    check_gather_elements,
    check_pad,
    check_slice,
    check_split,
    lower_concat,
    lower_expand,
    lower_gather,
    lower_gather_elements,
    lower_identity,
    lower_pad,
    lower_reshape,
    lower_reverse,
    lower_slice,
    lower_split,
    lower_transpose,
)
from mm_backend_cpu.lowering.normalization import check_normalization, lower_normalization
from mm_backend_cpu.lowering.quantized import (
    check_quantized_conv,
    check_quantized_matmul,
    lower_quantized_conv,
    lower_quantized_matmul,
)
from mm_backend_cpu.lowering.quantized_product import check_quantized_product, lower_quantized_product
from mm_backend_cpu.lowering.reduction import (
    REDUCTIONS,
    check_float32,
    check_pool,
    check_reduction,
    lower_pool,
    lower_reduction,
    lower_softmax,
)
from mm_backend_cpu.lowering.resize import check_resize, lower_resize
from mm_backend_cpu.lowering.rule import Rule
from mm_backend_cpu.lowering.scan import check_scan, lower_scan
from mm_backend_cpu.lowering.third_party import third_party_rules
from mm_core.errors import CompileError
from mm_core.ir import Operation
from mm_core.ops import Trait

_LIBRARY = Rule(check_library, lower_library, generates=False)
_ELEMENTWISE = Rule(check_elementwise, lower_elementwise)
_CONV = Rule(check_conv, lower_conv)
_CONV_TRANSPOSE = Rule(check_conv_transpose, lower_conv_transpose)
_INTEGER_MATMUL = Rule(check_integer_matmul, lower_integer_matmul)
_NORMALIZATION = Rule(check_normalization, lower_normalization)
_VIEW_ALWAYS = {
    "mm.identity": lower_identity,
    "mm.transpose": lower_transpose,
    "mm.reshape": lower_reshape,
    "mm.squeeze": lower_reshape,
    "mm.unsqueeze": lower_reshape,
    "mm.flatten": lower_reshape,
}
_GENERATED: Mapping[str, tuple[Rule, ...]] = {
    "mm.conv": (_CONV,),
    "mm.conv_transpose": (_CONV_TRANSPOSE,),
    **{name: (Rule(check_matmul, lower_matmul),) for name in ("mm.matmul", "mm.gemm", "mm.linear")},
    "mm.matmul_integer": (_INTEGER_MATMUL,),
    "mm.dynamic_quantize": (Rule(always, lower_dynamic_quantize),),
    **{name: (Rule(check_reduction, lower_reduction),) for name in REDUCTIONS},
    **{name: (Rule(check_pool, lower_pool),) for name in ("mm.max_pool", "mm.average_pool")},
    **{name: (Rule(check_float32, lower_softmax),) for name in ("mm.softmax", "mm.log_softmax")},
    **dict.fromkeys(("mm.layer_norm", "mm.rms_norm"), (_NORMALIZATION,)),
    "mm.attention": (Rule(check_attention, lower_attention),),
    "mm.expand": (Rule(check_expand, lower_expand),),
    "mm.slice": (Rule(check_slice, lower_slice),),
    "mm.split": (Rule(check_split, lower_split),),
    "mm.concat": (Rule(check_concat, lower_concat),),
    "mm.gather": (Rule(check_gather, lower_gather),),
    "mm.gather_elements": (Rule(check_gather_elements, lower_gather_elements),),
    "mm.pad": (Rule(check_pad, lower_pad),),
    "mm.resize": (Rule(check_resize, lower_resize),),
    "mm.reverse": (Rule(always, lower_reverse),),
    **{name: (Rule(always, lower, generates=False),) for name, lower in _VIEW_ALWAYS.items()},
    **{
        f"mm.{name}": (_ELEMENTWISE,)
        for name in (*operation_names(), "dequantize")
        if f"mm.{name}" not in _VIEW_ALWAYS
    },
}
_FUSED: Mapping[str, Rule] = {
    "conv": _CONV,
    "conv_transpose": _CONV_TRANSPOSE,
    "matmul": Rule(check_matmul, lower_matmul),
    "dequantized_matmul": Rule(check_dequantized, lower_dequantized),
    "elementwise": _ELEMENTWISE,
    "integer_matmul": _INTEGER_MATMUL,
    "normalization": _NORMALIZATION,
    "quantized_conv": Rule(check_quantized_conv, lower_quantized_conv),
    "quantized_matmul": Rule(check_quantized_matmul, lower_quantized_matmul),
    "quantized_product": Rule(check_quantized_product, lower_quantized_product),
}


_GROUPS = (INVERTED_RESIDUAL, ELEMENTWISE)
"""What several operations may be at once. They are supported one by one; a group never has to be taken."""


def lower_operations(low: Lowering, operations: Iterable[Operation]) -> None:
    """Append the steps of all operations but constants, those of a group together where its rule takes it."""
    rules: dict[Operation, GroupRule] = {}

    def match(operation: Operation) -> Group:
        for rule in _GROUPS:
            group = rule.match(operation)
            if len(group) > 1 and all(_rule(low, member).lower is rule.apart for member in group):
                rules[operation] = rule
                return group
        return ()

    for group in in_groups((operation for operation in operations if operation.name != "mm.constant"), match):
        if len(group) == 1 or not _lower_group(low, rules[group[0]], group):
            for operation in group:
                lower_operation(low, operation)


def _lower_group(low: Lowering, rule: GroupRule, group: Group) -> bool:
    outer, low.current = low.current, group
    taken = rule.lower(low, group)
    if taken:
        low.trace(group[-1])
    low.current = outer
    return taken


def lower_operation(low: Lowering, operation: Operation) -> None:
    """Append the steps of an operation, by the first of its rules that applies."""
    outer, low.current = low.current, (operation,)
    _rule(low, operation).lower(low, operation)
    low.trace(operation)
    low.current = outer


def _rule(low: Lowering, operation: Operation) -> Rule:
    """The first rule that applies."""
    for rule in rules_for(operation):
        if (low.isa is not None or not rule.generates) and not rule.check(operation):
            return rule
    raise CompileError(f"{operation.name} was accepted but has no kernel", where=operation.where)


def refusal(operation: Operation, library_only: bool) -> str:
    """Why no rule runs an operation; empty if one does."""
    reasons = []
    for rule in rules_for(operation):
        if library_only and rule.generates:
            continue
        reason = rule.check(operation)
        if not reason:
            return ""
        reasons.append(reason)
    return "; ".join(dict.fromkeys(reasons)) or f"no kernel for {operation.name}"


_SCAN = tuple(
    Rule(
        partial(check_scan, refusal=partial(refusal, library_only=not generates)),
        partial(lower_scan, lower=lower_operations),
        generates,
    )
    for generates in (True, False)
)


def rules_for(operation: Operation) -> tuple[Rule, ...]:
    """Every rule for an operation, the preferred first."""
    name = operation.name
    if name == "mm.fused":
        rule = _FUSED.get(operation.attributes["kind"])
        return (*third_party_rules().get(name, ()), *(() if rule is None else (rule,)))
    generated = _GENERATED.get(name) or ((_ELEMENTWISE,) if Trait.ELEMENTWISE in operation.definition.traits else ())
    library = (_LIBRARY,) if name in LIBRARY else ()
    scan = _SCAN if name == "mm.scan" else ()
    return (*third_party_rules().get(name, ()), *generated, *library, *scan)
