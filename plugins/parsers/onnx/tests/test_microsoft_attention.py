"""Attention of ONNX Runtime's domain, in all its forms, against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from microsoft_models import DOMAIN, Draw, assert_close, check, node_model, run_native
from onnx import TensorProto, helper
from onnx_models import run, run_onnxruntime

import mm_core as mm

B, S, HEADS, DEPTH = 2, 4, 2, 8
WIDTH = HEADS * DEPTH


@pytest.fixture
def draw() -> Draw:
    return Draw(1)


def masks(total: int) -> dict[str, Any]:
    """Every form of mask for two sequences of `total` keys."""
    kept = np.array([[1] * (total - 2) + [0] * 2, [1] * total], np.int32)
    rows = np.tril(np.ones((S, total), np.int32), total - S)
    return {
        "none": None,
        "ends": np.array([total - 1, total], np.int32),
        "ends and starts": np.array([total, total - 1, 1, 0], np.int32),
        "right padding": kept,
        "left padding": kept[:, ::-1].copy(),
        "rows": np.stack([rows, kept[:1].repeat(S, 0)]).astype(np.int32),
    }


# --- Attention --------------------------------------------------------------------------------------------------------


def projected(draw: Draw, features: int = 12, v: int = WIDTH) -> list[Any]:
    return [draw.floats(B, S, features), draw.floats(features, 2 * WIDTH + v, scale=0.3), draw.floats(2 * WIDTH + v)]


@pytest.mark.parametrize("mask", list(masks(S)))
@pytest.mark.parametrize("unidirectional", [0, 1])
def test_attention_masks(draw: Draw, mask: str, unidirectional: int) -> None:
    inputs = [*projected(draw), masks(S)[mask]]
    check("Attention", inputs, num_heads=HEADS, unidirectional=unidirectional)


@pytest.mark.parametrize("mask", ["none", "ends", "right padding", "rows"])
@pytest.mark.parametrize("unidirectional", [0, 1])
def test_attention_with_a_past(draw: Draw, mask: str, unidirectional: int) -> None:
    past = draw.floats(2, B, HEADS, 3, DEPTH)
    inputs = [*projected(draw), masks(S + 3)[mask], past]
    check("Attention", inputs, 2, num_heads=HEADS, unidirectional=unidirectional)


def test_attention_settings(draw: Draw) -> None:
    inputs = projected(draw, v=WIDTH // 2)
    sizes = [WIDTH, WIDTH, WIDTH // 2]
    check("Attention", inputs, num_heads=HEADS, qkv_hidden_sizes=sizes, scale=0.2)
    check("Attention", [inputs[0], inputs[1], None], num_heads=HEADS, qkv_hidden_sizes=sizes)
    inputs = projected(draw)
    check("Attention", inputs, 2, num_heads=HEADS)
    check("Attention", [*inputs, masks(S)["ends"]], num_heads=HEADS, mask_filter_value=-2.0)
    for shape in ((B, HEADS, S, S), (1, HEADS, S, S), (B, 1, S, S)):
        check("Attention", [*inputs, None, None, draw.floats(*shape)], num_heads=HEADS)


def test_attention_of_any_size() -> None:
    """Sizes stay symbols: the batch, the sequence and the past."""
    draw = Draw(2)
    inputs = [*projected(draw), masks(S + 3)["right padding"], draw.floats(2, B, HEADS, 3, DEPTH)]
    free = {0: ["N", "S", 12], 3: ["N", "T"], 4: [2, "N", HEADS, "P", DEPTH]}
    proto, fed = node_model("Attention", inputs, 2, free=free, num_heads=HEADS, unidirectional=1)
    assert "N" in str(mm.parse(proto).output_specs[0].type)
    for how in (lambda: run(mm.parse(proto), fed), lambda: run_native(proto, fed)):
        for left, right in zip(how(), run_onnxruntime(proto, fed)):
            assert_close(left, right, 1e-5)


@pytest.mark.parametrize("mask", ["ends", "ends and starts"])
@pytest.mark.parametrize("batch", ["N", B])
def test_only_running_tells_the_form_of_a_mask(mask: str, batch: Any) -> None:
    draw = Draw(2)
    inputs = [*projected(draw), masks(S)[mask]]
    proto, fed = node_model("Attention", inputs, free={0: [batch, "S", 12], 3: ["M"]}, num_heads=HEADS)
    for how in (lambda: run(mm.parse(proto), fed), lambda: run_native(proto, fed)):
        assert_close(how()[0], run_onnxruntime(proto, fed)[0], 1e-5)


# --- MultiHeadAttention -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [S, 6])
@pytest.mark.parametrize("with_bias", [False, True])
def test_multi_head_attention(draw: Draw, length: int, with_bias: bool) -> None:
    q, k, v = draw.floats(B, S, WIDTH), draw.floats(B, length, WIDTH), draw.floats(B, length, WIDTH)
    bias = draw.floats(3 * WIDTH) if with_bias else None
    for mask in (None, masks(length)["ends"], masks(length)["right padding"], masks(length)["rows"]):
        check("MultiHeadAttention", [q, k, v, bias, mask], num_heads=HEADS)
    added = draw.floats(1, HEADS, S, length)
    check("MultiHeadAttention", [q, k, v, bias, None, added], num_heads=HEADS, scale=0.3)
    if length == S:
        check("MultiHeadAttention", [q, k, v, bias], 3, num_heads=HEADS, unidirectional=1)


def test_multi_head_attention_with_a_past(draw: Draw) -> None:
    q, k, v = (draw.floats(B, S, WIDTH) for _ in range(3))
    past = [draw.floats(B, HEADS, 3, DEPTH) for _ in range(2)]
    for unidirectional in (0, 1):
        inputs = [q, k, v, draw.floats(3 * WIDTH), None, None, *past]
        check("MultiHeadAttention", inputs, 3, num_heads=HEADS, unidirectional=unidirectional)
    mask = masks(S + 3)["right padding"]
    check("MultiHeadAttention", [q, k, v, None, mask, None, *past], 3, num_heads=HEADS)


def test_multi_head_attention_packed(draw: Draw) -> None:
    packed = draw.floats(B, S, HEADS, 3, DEPTH)
    bias = draw.floats(3 * WIDTH)
    parts = [packed[:, :, :, index].reshape(B, S, WIDTH).copy() for index in range(3)]
    for b in (None, bias):
        proto, fed = node_model("MultiHeadAttention", [*parts, b], num_heads=HEADS)
        expected = run_onnxruntime(proto, fed)
        check("MultiHeadAttention", [packed, None, None, b], num_heads=HEADS, expected=expected)
    together = np.stack([part.reshape(B, S, HEADS, DEPTH) for part in parts[1:]], 3)
    proto, fed = node_model("MultiHeadAttention", [*parts], num_heads=HEADS)
    check("MultiHeadAttention", [parts[0], together], num_heads=HEADS, expected=run_onnxruntime(proto, fed))


def test_multi_head_attention_over_an_encoder(draw: Draw) -> None:
    q, bias = draw.floats(B, S, WIDTH), draw.floats(3 * WIDTH)
    k, v = draw.floats(B, HEADS, 6, DEPTH), draw.floats(B, HEADS, 6, DEPTH)
    check("MultiHeadAttention", [q, k, v], num_heads=HEADS)
    check("MultiHeadAttention", [q, k, v, bias], num_heads=HEADS)


def test_scores_as_a_result(draw: Draw) -> None:
    q, k, v = (draw.floats(B, S, WIDTH) for _ in range(3))
    check("MultiHeadAttention", [q, k, v], ["y", "k", "v", "qk"], num_heads=HEADS)
    check("MultiHeadAttention", [q, k, v, None, masks(S)["right padding"]], ["y", "k", "v", "qk"], num_heads=HEADS)


# --- DecoderMaskedMultiHeadAttention ----------------------------------------------------------------------------------


def test_decoder_masked_attention(draw: Draw) -> None:
    q = draw.floats(B, 1, WIDTH)
    encoder = [draw.floats(B, HEADS, 6, DEPTH) for _ in range(2)]
    check("DecoderMaskedMultiHeadAttention", [q, *encoder], num_heads=HEADS)
    check("DecoderMaskedMultiHeadAttention", [q, *encoder, masks(6)["right padding"]], num_heads=HEADS)


@pytest.mark.parametrize("form", ["plain", "packed", "mask", "bias"])
def test_decoder_masked_attention_in_a_shared_buffer(draw: Draw, form: str) -> None:
    """ONNX Runtime writes into the buffer that it is given: a whole attention over the part in use says the same."""
    q, k, v, bias = *(draw.floats(B, 1, WIDTH) for _ in range(3)), draw.floats(3 * WIDTH)
    past = [draw.floats(B, HEADS, 5, DEPTH) for _ in range(2)]
    mask = np.array([[1, 1, 0, 1], [1] * 4], np.int32) if form == "mask" else None
    added = draw.floats(1, HEADS, 1, 4) if form == "bias" else None
    parts = [np.concatenate([q, k, v], 2), None, None] if form == "packed" else [q, k, v]
    inputs = [*parts, mask, added, *past, np.array([3], np.int32), None, None, bias]
    settings = {"num_heads": HEADS, "past_present_share_buffer": 1}
    proto, fed = node_model("DecoderMaskedMultiHeadAttention", inputs, 3, **settings)
    y, keys, values = run_native(proto, fed)
    whole = [cache[:, :, :3] for cache in past]
    simple, feed = node_model("MultiHeadAttention", [q, k, v, bias, mask, added, *whole], 3, num_heads=HEADS)
    wanted = run_onnxruntime(simple, feed)
    assert_close(y, wanted[0], 1e-5)
    for cache, old, expected in zip((keys, values), past, wanted[1:]):
        assert_close(cache[:, :, :4], expected, 1e-6)
        np.testing.assert_array_equal(cache[:, :, 4:], old[:, :, 4:])


# --- GroupQueryAttention ----------------------------------------------------------------------------------------------

GROUPS, SIZE = 2, 16


def grouped(
    draw: Draw, heads: int, new: int, lengths: list[int], cache: int | None, *, packed: bool = False
) -> list[Any]:
    """Inputs of a step with `new` tokens after which the sequences have these lengths; `cache` is its room."""
    q = draw.floats(len(lengths), new, (heads + (2 * GROUPS if packed else 0)) * SIZE)
    k, v = (None if packed else draw.floats(len(lengths), new, GROUPS * SIZE) for _ in range(2))
    past = [None if cache is None else draw.floats(len(lengths), GROUPS, cache, SIZE) for _ in range(2)]
    seqlens = np.array(lengths, np.int32) - 1
    return [q, k, v, *past, seqlens, np.array(max(lengths), np.int32)]


def rotation(positions: int = 16, half: int = SIZE // 2) -> list[Any]:
    angles = np.arange(positions)[:, None] / 10 ** np.linspace(0, 2, half)
    return [np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)]


def check_step(inputs: list[Any], settings: dict[str, Any], tolerance: float = 1e-5) -> None:
    """Output and caches equal ONNX Runtime's; what lies behind the end of a sequence in its cache means nothing."""
    proto, fed = node_model("GroupQueryAttention", inputs, 3, **settings)
    wanted = run_onnxruntime(proto, fed)
    for got in (run(mm.parse(proto), fed), run_native(proto, fed)):
        assert_close(got[0], wanted[0], tolerance)
        for left, right in zip(got[1:], wanted[1:]):
            assert left.shape == right.shape
            for row, length in enumerate(inputs[5] + 1):
                assert_close(left[row, :, :length], right[row, :, :length], tolerance)


STEPS = {
    "a prompt": (5, [5, 5], None),
    "a prompt into a buffer": (5, [5, 5], 9),
    "a token": (1, [4, 4], 3),
    "a token into a buffer": (1, [4, 7], 9),
    "a token of uneven sequences": (1, [3, 6], 5),
    "more tokens": (3, [7], 4),
}


@pytest.mark.parametrize("step", list(STEPS))
@pytest.mark.parametrize("heads", [2, 4])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("rotary", [None, 0, 1])
def test_group_query_attention(draw: Draw, step: str, heads: int, packed: bool, rotary: int | None) -> None:
    new, lengths, cache = STEPS[step]
    inputs = grouped(draw, heads, new, lengths, cache, packed=packed)
    settings = {"num_heads": heads, "kv_num_heads": GROUPS}
    if rotary is not None:
        inputs += rotation()
        settings |= {"do_rotary": 1, "rotary_interleaved": rotary}
    check_step(inputs, settings)


@pytest.mark.parametrize("step", ["a prompt", "a token into a buffer", "more tokens"])
@pytest.mark.parametrize(
    "settings",
    [{"local_window_size": 2}, {"softcap": 0.5}, {"scale": 0.1}, {"smooth_softmax": 1},
     {"local_window_size": 3, "softcap": 2.0}],
    ids=str,
)  # fmt: skip
def test_group_query_attention_settings(draw: Draw, step: str, settings: dict[str, Any]) -> None:
    new, lengths, cache = STEPS[step]
    inputs = grouped(draw, 4, new, lengths, cache)
    check_step(inputs, {"num_heads": 4, "kv_num_heads": GROUPS, **settings})


@pytest.mark.parametrize("step", ["a prompt", "more tokens"])
def test_group_query_attention_inputs(draw: Draw, step: str) -> None:
    new, lengths, cache = STEPS[step]
    inputs = grouped(draw, 4, new, lengths, cache)
    heads = {"num_heads": 4, "kv_num_heads": GROUPS}
    bias = draw.floats(1, 4, new, max(lengths))
    check_step([*inputs, None, None, None, bias], heads)
    sink = draw.floats(4)
    check_step([*inputs, None, None, None, None, sink], heads)
    positions = np.array([list(range(2, 2 + new))] * len(lengths), np.int64)
    check_step([*inputs, *rotation(), positions], {"do_rotary": 1, **heads})


@pytest.mark.parametrize("step", ["a prompt", "a token into a buffer"])
def test_group_query_attention_in_float16(draw: Draw, step: str) -> None:
    new, lengths, cache = STEPS[step]
    inputs = [*grouped(draw, 4, new, lengths, cache), *rotation()]
    halves = [x if x is None or x.dtype != np.float32 else x.astype(np.float16) for x in inputs]
    check_step(halves, {"num_heads": 4, "kv_num_heads": GROUPS, "do_rotary": 1, "softcap": 3.0}, tolerance=5e-3)


def test_both_directions(draw: Draw) -> None:
    inputs = grouped(draw, 4, 5, [5, 5], None)
    check_step(inputs, {"num_heads": 4, "kv_num_heads": GROUPS, "causal": 0})


def test_normalized_heads(draw: Draw) -> None:
    """ONNX Runtime's CPU does not take the weights: normalizing beforehand says the same."""
    inputs = grouped(draw, 4, 5, [5, 5], None)
    weights = [draw.floats(SIZE), draw.floats(SIZE)]
    heads = {"num_heads": 4, "kv_num_heads": GROUPS}

    def normal(x: Any, weight: Any) -> Any:
        split = x.reshape(*x.shape[:2], -1, SIZE)
        return (split / np.sqrt(np.mean(split**2, -1, keepdims=True) + 1e-6) * weight).reshape(x.shape)

    proto, fed = node_model(
        "GroupQueryAttention", [normal(inputs[0], weights[0]), normal(inputs[1], weights[1]), *inputs[2:]], **heads
    )
    expected = run_onnxruntime(proto, fed)
    check("GroupQueryAttention", [*inputs, *[None] * 7, *weights], expected=expected, **heads)


def decoder() -> onnx.ModelProto:
    """A step as exporters write it: lengths from the mask, all sizes free."""
    floats, integers = TensorProto.FLOAT, TensorProto.INT64
    nodes = [
        helper.make_node("ReduceSum", ["attention_mask", "one"], ["counts"], keepdims=0),
        helper.make_node("Sub", ["counts", "one"], ["last"]),
        helper.make_node("Cast", ["last"], ["seqlens_k"], to=TensorProto.INT32),
        helper.make_node("Shape", ["attention_mask"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "second"], ["length"]),
        helper.make_node("Cast", ["length"], ["total"], to=TensorProto.INT32),
        helper.make_node(
            "GroupQueryAttention", ["q", "k", "v", "past_k", "past_v", "seqlens_k", "total", "cos", "sin"],
            ["y", "present_k", "present_v"], domain=DOMAIN, num_heads=4, kv_num_heads=GROUPS, do_rotary=1,
        ),
    ]  # fmt: skip
    inputs = [
        helper.make_tensor_value_info("attention_mask", integers, ["batch", "total_sequence"]),
        helper.make_tensor_value_info("q", floats, ["batch", "sequence", 4 * SIZE]),
        helper.make_tensor_value_info("k", floats, ["batch", "sequence", GROUPS * SIZE]),
        helper.make_tensor_value_info("v", floats, ["batch", "sequence", GROUPS * SIZE]),
        *(
            helper.make_tensor_value_info(name, floats, ["batch", GROUPS, "past_sequence", SIZE])
            for name in ("past_k", "past_v")
        ),
    ]
    constants = [("one", np.array([1])), ("second", np.array(1)), *zip(("cos", "sin"), rotation())]
    graph = helper.make_graph(
        nodes, "decoder", inputs, [onnx.ValueInfoProto(name=name) for name in ("y", "present_k", "present_v")],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def test_one_build_serves_the_prompt_and_every_token() -> None:
    draw, proto = Draw(3), decoder()
    network = mm.parse(proto)
    assert "mm.attention" in {operation.name for operation in network.operations}
    built = mm.Builder(mm.BuilderConfig(backends=["cpu"], strict=True)).build(network)
    context = built.create_engine().create_context()
    past = [np.zeros((2, GROUPS, 0, SIZE), np.float32)] * 2
    total = 0
    for new in (4, 1, 1):
        total += new
        fed = {
            "attention_mask": np.ones((2, total), np.int64), "q": draw.floats(2, new, 4 * SIZE),
            "k": draw.floats(2, new, GROUPS * SIZE), "v": draw.floats(2, new, GROUPS * SIZE),
            "past_k": past[0], "past_v": past[1],
        }  # fmt: skip
        wanted = run_onnxruntime(proto, fed)
        got = list(context.run(fed).values())
        for left, right in zip(got, wanted):
            assert_close(left, right, 1e-5)
        past = wanted[1:]


@pytest.mark.parametrize(
    ("inputs", "settings", "message"),
    [
        ({}, {"sliding_window_cache": 1, "local_window_size": 2}, "whole cache"),
        ({}, {"qk_output": 1}, "qk_output"),
        ({12: np.ones(1, np.float32), 13: np.ones(1, np.float32)}, {"k_quant_type": "PER_TENSOR"}, "k_quant_type"),
    ],
)
def test_what_is_not_offered(draw: Draw, inputs: Any, settings: Any, message: str) -> None:
    given = grouped(draw, 4, 1, [4, 4], 4)
    given += [None] * (max(inputs, default=0) + 1 - len(given))
    for index, value in inputs.items():
        given[index] = value
    proto, _ = node_model("GroupQueryAttention", given, 3, num_heads=4, kv_num_heads=GROUPS, **settings)
    with pytest.raises(mm.UnsupportedOpError, match=message):
        mm.parse(proto)


# --- RotaryEmbedding --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary_embedding(draw: Draw, interleaved: int) -> None:
    x = draw.floats(B, S, WIDTH)
    tables = rotation(half=DEPTH // 2)
    for positions in (np.array([3], np.int64), draw.integers(0, 16, B, S, dtype=np.int64)):
        check("RotaryEmbedding", [x, positions, *tables], interleaved=interleaved)
        heads = x.reshape(B, S, HEADS, DEPTH).transpose(0, 2, 1, 3).copy()
        check("RotaryEmbedding", [heads, positions, *tables], interleaved=interleaved)
        partial = rotation(half=2)
        settings = {"num_heads": HEADS, "rotary_embedding_dim": 4, "interleaved": interleaved}
        check("RotaryEmbedding", [x, positions, *partial], **settings)


@pytest.mark.parametrize("layout", [0, 1])
@pytest.mark.parametrize("interleaved", [0, 1])
def test_multimodal_rotary_embedding(draw: Draw, layout: int, interleaved: int) -> None:
    x, positions = draw.floats(B, S, 2 * 16), draw.integers(0, 16, 3, B, S, dtype=np.int64)
    settings = {"mrope_section": [4, 2, 2], "mrope_layout": layout, "interleaved": interleaved, "num_heads": 2}
    check("MRotaryEmbedding", [x, positions, *rotation()], **settings)
    heads = x.reshape(B, S, 2, 16).transpose(0, 2, 1, 3).copy()
    check("MRotaryEmbedding", [heads, positions, *rotation()], **settings)


# --- packed batches ---------------------------------------------------------------------------------------------------

LENGTHS = np.array([3, 4], np.int32)
OFFSETS = np.array([[0, 1, 2, 4], [5, 6, 7, 3]], np.int32)
SUMS = np.array([0, 3, 7], np.int32)


def tokens(padded: Any) -> Any:
    return padded.reshape(B * S, *padded.shape[2:])[OFFSETS.reshape(-1)[: SUMS[-1]]]


def test_padding_removed_and_restored(draw: Draw) -> None:
    """ONNX Runtime packs batches on CUDA alone: compared with its definition, and with attention of padded batches."""
    x = draw.floats(B, S, 5)
    results = [tokens(x), OFFSETS, SUMS, np.array([4], np.int32)]
    check("RemovePadding", [x, LENGTHS], 4, expected=results)
    restored = x.copy()
    restored[0, 3] = 0
    check("RestorePadding", [tokens(x), OFFSETS], expected=[restored])


@pytest.mark.parametrize("with_bias", [False, True])
def test_packed_attention(draw: Draw, with_bias: bool) -> None:
    x, w, bias = projected(draw)
    added = draw.floats(1, HEADS, S, S) if with_bias else None
    proto, fed = node_model("Attention", [x, w, bias, LENGTHS, None, added], num_heads=HEADS)
    expected = [tokens(run_onnxruntime(proto, fed)[0])]
    check("PackedAttention", [tokens(x), w, bias, OFFSETS, SUMS, added], num_heads=HEADS, expected=expected)
    q, k, v = (draw.floats(B, S, WIDTH) for _ in range(3))
    given = bias if with_bias else None
    proto, fed = node_model("MultiHeadAttention", [q, k, v, given, LENGTHS, added], num_heads=HEADS)
    expected = [tokens(run_onnxruntime(proto, fed)[0])]
    parts = [tokens(part) for part in (q, k, v)]
    settings = {"num_heads": HEADS, "expected": expected}
    check("PackedMultiHeadAttention", [*parts, given, OFFSETS, SUMS, added], **settings)
    packed = np.stack([part.reshape(-1, HEADS, DEPTH) for part in parts], 2)
    check("PackedMultiHeadAttention", [packed, None, None, given, OFFSETS, SUMS, added], **settings)
