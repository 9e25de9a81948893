"""ONNX Runtime, CPU provider, all graph optimisations. Its outputs are the reference for every error."""

from __future__ import annotations

import onnxruntime

from benchmarks.request import Inputs, Request, Runner


def version() -> str:
    return onnxruntime.__version__


def load(request: Request) -> Runner:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(request.path, options, providers=["CPUExecutionProvider"])

    def run(inputs: Inputs) -> list:
        return session.run(None, inputs)

    return run
