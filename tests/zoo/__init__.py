"""Model zoo of the tests and benchmarks: real architectures with random weights, exported to ONNX on demand.

    from tests import zoo

    model = zoo.build("resnet50", batch=1, small=False)
    outputs = onnxruntime.InferenceSession(model.path).run(None, model.inputs)

Nothing is downloaded: the architectures come from Hugging Face configurations, the weights from a fixed seed.
Files are kept outside the source tree (see `cache`), once per architecture, exporter and library version.
"""

from __future__ import annotations

from tests.zoo.catalog import ModelFile, build, names

__all__ = ["ModelFile", "build", "names"]
