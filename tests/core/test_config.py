"""Build configurations: our keys, MagicMind's keys, files and texts; nothing is ignored silently."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mm_core as mm
from mm_core.errors import BuildError

Config = mm.BuilderConfig


def test_defaults_and_copies() -> None:
    config = Config()
    assert (config.backends, config.precision, config.opt_level, config.strict) == (("cpu",), "force_float32", 2, False)
    assert config.with_options(strict=True).strict
    assert not config.strict
    assert Config(backends="cpu").backends == ("cpu",)


def test_our_keys_from_a_dict_a_text_and_a_file(tmp_path: Path) -> None:
    data = {"backends": ["cpu", "reference"], "opt_level": 1, "strict": True, "threads": 3, "dim_range": {"N": [1, 8]}}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(data))
    for source in (data, json.dumps(data), path, str(path)):
        config = Config.from_json(source)
        assert (config.backends, config.opt_level, config.threads) == (("cpu", "reference"), 1, 3)
        assert config.dim_range == {"N": (1, 8)}
    assert Config.from_json(data, opt_level=3).opt_level == 3


def test_magicminds_keys() -> None:
    config = Config.from_json(
        {
            "archs": ["mtp_372"],
            "graph_shape_mutable": True,
            "dim_range": {"0": {"min": [1, 3], "max": [8, 3]}},
            "precision_config": {"precision_mode": "force_float32"},
            "opt_config": {"type64to32_conversion": True, "conv_scale_fold": False},
            "debug_config": {"fusion_enable": False},
        }
    )
    assert config.target == {"archs": "mtp_372"}
    assert config.input_dims == {"0": ((1, 3), (8, 3))}
    assert {"fold-affine", "fuse-epilogue", "fuse-elementwise"} <= set(config.disable_passes)
    net = mm.Network("ranged")
    net.mark_output(net.relu(net.add_input("x", mm.float32, ("N", 3))), "y")
    limits = Config.from_json({"dim_range": {"0": {"min": [1, 3], "max": [8, 3]}}})
    assert mm.Builder(limits).build(net).dim_range == {"N": (1, 8)}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{", "not JSON"),
        ("[]", "configuration"),
        ('{"a": ', "not JSON"),
        ("{}}", "not JSON"),
        ("absent.json", r"absent\.json: cannot read"),
        ({"optlevel": 1}, "'optlevel' is unknown.*opt_level.*archs"),
        ({"crop_config": {}}, "'crop_config' is not offered.*remove"),
        ({"precision_config": {"activation_quant_algo": "x"}}, "activation_quant_algo"),
        ({"opt_config": {"magic": True}}, r"opt_config\.magic is unknown"),
        ({"debug_config": {"magic": True}}, r"debug_config\.magic is unknown"),
        ({"precision_config": {"precision_mode": "qint3_mixed_float16"}}, "'qint3_mixed_float16' is unknown"),
        ({"opt_level": "high"}, "opt_level.*high"),
        ({"archs": 3}, "archs"),
        ({"archs": ["a", "b"]}, "archs names 2 architectures"),
        ({"dim_range": [1, 2]}, "dim_range"),
        ({"dim_range": {"N": 3}}, "dim_range"),
        ({"dim_range": {"0": {"min": [1]}}}, "dim_range"),
        ({"precision_config": "fast"}, "precision_config"),
        ({"opt_config": 1}, "opt_config"),
        ({"threads": "two"}, "threads"),
        ({"backends": 3}, "backends"),
        ({"disable_passes": 3}, "disable_passes"),
        ({"strict": "yes"}, "strict"),
        ({"target": 3}, "target"),
    ],
    ids=str,
)
def test_bad_configurations_name_the_key(source: object, message: str) -> None:
    with pytest.raises(BuildError, match=message):
        Config.from_json(source)
