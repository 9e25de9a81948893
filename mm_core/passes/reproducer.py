"""What a failing pass leaves behind: a folder with the network as text, its weights and the pipeline."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mm_core.errors import PassError
from mm_core.ir import Network
from mm_core.types import BY_NAME, Array, TensorData

_NETWORK, _PIPELINE, _WEIGHTS = "network.mlir", "pipeline.txt", "weights.npz"


def save_reproducer(folder: Path, network: Network, pipeline: str) -> Path:
    """Write the three files; the weights as flat bytes, named `dtype:shape:key`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _NETWORK).write_text(str(network) + "\n", encoding="utf-8")
    (folder / _PIPELINE).write_text(pipeline + "\n", encoding="utf-8")
    arrays = {
        f"{data.dtype.name}:{'x'.join(map(str, data.shape))}:{key}": _storable(data)
        for key, data in network.weights().items()
    }
    np.savez(folder / _WEIGHTS, **arrays)  # type: ignore[arg-type]
    return folder


def load_reproducer(folder: Path) -> tuple[Network, str]:
    """The network and the pipeline's text. PassError if the folder holds no reproducer."""
    try:
        text = (folder / _NETWORK).read_text(encoding="utf-8")
        pipeline = (folder / _PIPELINE).read_text(encoding="utf-8").strip()
        with np.load(folder / _WEIGHTS, allow_pickle=False) as file:
            stored = {name: file[name] for name in file.files}
    except OSError as error:
        raise PassError(f"no reproducer can be read: {error}", where=str(folder)) from error
    weights = {}
    for name, array in stored.items():
        dtype, shape, key = name.split(":", 2)
        weights[key] = _restored(array, dtype, shape, key)
    return Network.from_text(text, weights), pipeline


def _storable(data: TensorData) -> Array:
    array = data.numpy().reshape(-1)
    return array.astype(np.str_) if data.dtype.kind == "string" else np.ascontiguousarray(array).view(np.uint8)


def _restored(array: Array, dtype: str, shape: str, key: str) -> TensorData:
    wanted = BY_NAME[dtype]
    flat = array.astype(object) if wanted.kind == "string" else array.view(wanted.numpy)
    return TensorData.of(flat.reshape([int(size) for size in shape.split("x") if size]), key=key)
