"""ONNX's own cases on our backends and on other engines, by the same strict harness."""
