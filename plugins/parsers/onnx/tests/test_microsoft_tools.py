"""What ONNX Runtime's own quantizers and optimizers make of small models of every kind: equal to its own results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from microsoft_models import DOMAIN, run_native
from onnx_models import run, run_onnxruntime
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

import mm_core as mm


class ConvNet(torch.nn.Module):
    """Every layer that the static quantizer knows, on images of 3 x 16 x 16."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.last = torch.nn.Linear(16, 5)

    def forward(self, x: Any) -> Any:
        x = torch.relu(self.first(x))
        x = torch.max_pool2d(x, 2)
        y = torch.nn.functional.leaky_relu(self.second(x), 0.1) + x
        y = torch.cat([torch.sigmoid(y), torch.nn.functional.avg_pool2d(x, 3, 1, 1) * y], 1)
        return torch.softmax(self.last(y.mean((2, 3))), -1)


class Tagger(torch.nn.Module):
    """Embedding, recurrence, products: what the dynamic quantizer is for."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.memory = torch.nn.Embedding(20, 16), torch.nn.LSTM(16, 12, bidirectional=True)
        self.tags = torch.nn.Sequential(torch.nn.Linear(24, 32), torch.nn.GELU(), torch.nn.Linear(32, 7))

    def forward(self, ids: Any) -> Any:
        return self.tags(self.memory(self.words(ids))[0])


def bert() -> tuple[Any, Any]:
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=48,
        max_position_embeddings=24, attn_implementation="eager",
    )  # fmt: skip
    ids = torch.arange(14).reshape(2, 7)
    mask = torch.tensor([[1] * 7, [1] * 5 + [0] * 2])

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = BertModel(config, add_pooling_layer=False)

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            return self.model(input_ids, attention_mask, token_type_ids).last_hidden_state

    return Encoder(), (ids, mask, ids % 2)


def gpt2() -> tuple[Any, Any]:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=40, n_positions=24, n_embd=32, n_layer=2, n_head=4, attn_implementation="eager", use_cache=False
    )

    class Decoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = GPT2LMHeadModel(config)

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            return self.model(input_ids, attention_mask=attention_mask).logits

    return Decoder(), (torch.arange(14).reshape(2, 7), torch.tensor([[1] * 7, [1] * 5 + [0] * 2]))


def exported(module: Any, example: tuple[Any, ...], names: list[str], path: Path) -> dict[str, Any]:
    """Write a module as ONNX; its inputs as arrays."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    torch.onnx.export(module.eval(), example, path, input_names=names, opset_version=17, dynamo=False)
    return {name: value.numpy() for name, value in zip(names, example)}


def operators(proto: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in proto.graph.node if node.domain == DOMAIN}


def check(path: Path, inputs: dict[str, Any], tolerance: float) -> onnx.ModelProto:
    """Results equal ONNX Runtime's, by the references and natively."""
    proto = onnx.load(path)
    fed = {value.name: inputs[value.name] for value in proto.graph.input}
    wanted = run_onnxruntime(proto, fed)
    for how in (lambda: run(mm.parse(proto), fed), lambda: run_native(proto, fed)):
        for left, right in zip(how(), wanted, strict=True):
            assert (left.dtype, left.shape) == (right.dtype, right.shape)
            np.testing.assert_allclose(left, right, rtol=tolerance, atol=tolerance)
    return proto


class Images(CalibrationDataReader):
    def __init__(self, array: Any) -> None:
        self._rows = iter([{"x": array[index : index + 2]} for index in range(0, len(array), 2)])

    def get_next(self) -> Any:
        return next(self._rows, None)


@pytest.fixture(scope="module")
def convnet(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    path = tmp_path_factory.mktemp("convnet") / "float.onnx"
    generator = torch.Generator().manual_seed(1)
    return path, exported(ConvNet(), (torch.randn(2, 3, 16, 16, generator=generator),), ["x"], path)


@pytest.mark.parametrize("layout", [QuantFormat.QDQ, QuantFormat.QOperator], ids=str)
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8], ids=str)
def test_static_quantization(convnet: Any, tmp_path: Path, layout: Any, per_channel: bool, activations: Any) -> None:
    source, inputs = convnet
    path = tmp_path / "quantized.onnx"
    quantize_static(
        source, path, Images(np.random.default_rng(0).standard_normal((4, 3, 16, 16)).astype(np.float32)),
        quant_format=layout, per_channel=per_channel, activation_type=activations, weight_type=QuantType.QInt8,
    )  # fmt: skip
    # A step of the last quantization is 1/256; one that falls to the other side earlier moves few numbers by as much.
    proto = check(path, inputs, 1 / 128)
    if layout is QuantFormat.QOperator:
        assert {"QLinearAdd", "QLinearConcat", "QLinearLeakyRelu", "QLinearMul", "QLinearSigmoid"} <= operators(proto)


@pytest.mark.parametrize("bits", [QuantType.QUInt16, QuantType.QInt16], ids=str)
def test_sixteen_bits(convnet: Any, tmp_path: Path, bits: Any) -> None:
    source, inputs = convnet
    path = tmp_path / "quantized.onnx"
    images = Images(np.random.default_rng(0).standard_normal((4, 3, 16, 16)).astype(np.float32))
    quantize_static(source, path, images, activation_type=bits, extra_options={"UseQDQContribOps": True})
    proto = check(path, inputs, 1e-3)
    assert {"QuantizeLinear", "DequantizeLinear"} <= operators(proto)


@pytest.mark.parametrize("bits", [QuantType.QInt4, QuantType.QUInt4], ids=str)
def test_weights_of_four_bits(convnet: Any, tmp_path: Path, bits: Any) -> None:
    source, inputs = convnet
    path = tmp_path / "quantized.onnx"
    images = Images(np.random.default_rng(0).standard_normal((4, 3, 16, 16)).astype(np.float32))
    quantize_static(source, path, images, weight_type=bits)
    check(path, inputs, 1 / 128)


def test_conversion_to_float16(tmp_path: Path) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    source, path = tmp_path / "float.onnx", tmp_path / "half.onnx"
    make, names, _ = MODELS["bert"]
    inputs = exported(*make(), names, source)
    onnx.save(convert_float_to_float16(onnx.load(source), keep_io_types=True), path)
    check(path, inputs, 3e-2)


@pytest.mark.parametrize("weights", [QuantType.QUInt8, QuantType.QInt8], ids=str)
@pytest.mark.parametrize("per_channel", [False, True])
def test_dynamic_quantization(tmp_path: Path, weights: Any, per_channel: bool) -> None:
    source, path = tmp_path / "float.onnx", tmp_path / "quantized.onnx"
    inputs = exported(Tagger(), (torch.arange(18).reshape(6, 3),), ["ids"], source)
    quantize_dynamic(source, path, weight_type=weights, per_channel=per_channel)
    proto = check(path, inputs, 5e-2)
    assert "DynamicQuantizeLSTM" in operators(proto)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_blocks_of_few_bits(tmp_path: Path, bits: int, symmetric: bool) -> None:
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    source, path = tmp_path / "float.onnx", tmp_path / "quantized.onnx"
    inputs = exported(Tagger(), (torch.arange(18).reshape(6, 3),), ["ids"], source)
    quantizer = MatMulNBitsQuantizer(onnx.load(source), bits=bits, block_size=16, is_symmetric=symmetric)
    quantizer.process()
    quantizer.model.save_model_to_file(str(path))
    proto = check(path, inputs, 1e-4)
    assert "MatMulNBits" in operators(proto)


MODELS: dict[str, tuple[Callable[[], tuple[Any, Any]], list[str], set[str]]] = {
    "bert": (
        bert,
        ["input_ids", "attention_mask", "token_type_ids"],
        {"Attention", "BiasGelu", "SkipLayerNormalization"},
    ),
    "gpt2": (gpt2, ["input_ids", "attention_mask"], {"FastGelu", "SkipLayerNormalization"}),
}


@pytest.mark.parametrize("name", list(MODELS))
def test_the_optimizer_of_transformers(tmp_path: Path, name: str) -> None:
    from onnxruntime.transformers.optimizer import optimize_model

    make, names, wanted = MODELS[name]
    source, path = tmp_path / "float.onnx", tmp_path / "optimized.onnx"
    inputs = exported(*make(), names, source)
    optimized = optimize_model(str(source), model_type=name, num_heads=4, hidden_size=32, opt_level=0)
    optimized.save_model_to_file(str(path))
    inputs |= {key: value.astype(np.int32) for key, value in inputs.items() if "int32" in _types(path).get(key, "")}
    proto = check(path, inputs, 1e-4)
    assert wanted <= operators(proto)


def _types(path: Path) -> dict[str, str]:
    names = {onnx.TensorProto.INT32: "int32", onnx.TensorProto.INT64: "int64"}
    return {value.name: names.get(value.type.tensor_type.elem_type, "") for value in onnx.load(path).graph.input}


@pytest.mark.parametrize("name", ["bert", "gpt2", "convnet"])
def test_models_that_a_session_has_optimized(tmp_path: Path, name: str) -> None:
    source, path = tmp_path / "float.onnx", tmp_path / "optimized.onnx"
    if name == "convnet":
        inputs = exported(ConvNet(), (torch.randn(2, 3, 16, 16),), ["x"], source)
    else:
        make, names, _ = MODELS[name]
        inputs = exported(*make(), names, source)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    assert operators(check(path, inputs, 1e-4))
