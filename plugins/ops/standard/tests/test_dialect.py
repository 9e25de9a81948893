"""The dialect as a whole: what backends may count on, and what each definition must have."""

from __future__ import annotations

import pytest
from mm_ops_standard import FAMILIES, operators

from mm_core.ops import Arity, OpDef, Tier, Trait, dialect

DEVICE_PRIMITIVES = """
abs acos acosh add argmax argmin asin asinh atan atanh average_pool bit_cast bitwise_and bitwise_not bitwise_or
bitwise_xor cast ceil concat constant conv conv_transpose cos cosh cumsum dequantize div equal erf exp expand floor
fmod gather gather_elements gather_nd is_inf is_nan less less_or_equal log logical_and logical_not logical_or
logical_xor matmul max_pool max_pool_with_indices maximum minimum mod mul neg pad pow quantize range reduce_max
reduce_min reduce_prod reduce_sum reshape resize reverse round scatter_elements scatter_nd select shape shift_left
shift_right sign sin sinh slice sqrt sub tan tanh topk transpose
"""
"""What a backend has to know to run every model, with the host's help. It must not grow unnoticed."""

NORMALIZED = "average_pool conv conv_transpose dequantize expand max_pool pad quantize range reshape resize slice topk"
"""Primitives that decompose into themselves in a plainer form: on sizes read from data before, with explicit pads."""

STRUCTURE = ("mm.constant", "mm.yield", "mm.fused", "mm.sizes")
DEFINITIONS = [op for op in dialect("mm").values() if op.name not in STRUCTURE]


def test_device_tier_is_the_agreed_one() -> None:
    found = {name.removeprefix("mm.") for name, op in dialect("mm").items() if op.tier is Tier.DEVICE}
    assert found == set(DEVICE_PRIMITIVES.split())


@pytest.mark.parametrize("definition", DEFINITIONS, ids=lambda op: op.name)
def test_definition_is_whole(definition: OpDef) -> None:
    assert definition.__doc__
    assert definition.__doc__ is not OpDef.__doc__
    assert definition.has_reference
    if definition.tier is Tier.COMPOSITE:
        assert definition.has_decomposition
    if definition.tier is Tier.DEVICE:
        assert not definition.regions
        assert definition.has_decomposition == (definition.name.removeprefix("mm.") in NORMALIZED.split())
        assert Trait.RANDOM not in definition.traits
    variadic = [operand.arity is Arity.VARIADIC for operand in definition.operands]
    assert not any(variadic[:-1])
    names = [item.name for item in (*definition.operands, *definition.attributes)]
    assert len(set(names)) == len(names)


def test_families_are_complete() -> None:
    assert len(FAMILIES) == len(set(FAMILIES))
    assert {op.name for op in operators()} == {definition.name for definition in DEFINITIONS}
