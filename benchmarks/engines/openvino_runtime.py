"""OpenVINO, CPU plug-in, latency hint. float32 is asked for: else CPUs with bf16 would use that."""

from __future__ import annotations

import numpy as np
import openvino

from benchmarks.request import Inputs, Request, Runner


def version() -> str:
    return openvino.__version__


def load(request: Request) -> Runner:
    settings = {
        "INFERENCE_NUM_THREADS": request.threads,
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    compiled = openvino.Core().compile_model(request.path, "CPU", settings)
    infer = compiled.create_infer_request()

    def run(inputs: Inputs) -> list[np.ndarray]:
        outputs = infer.infer(inputs, share_inputs=True)
        return [outputs[output] for output in compiled.outputs]

    return run
