"""Importers of classical machine learning (domain ai.onnx.ml), for all versions of its operators.

Everything numeric is built from primitives and the dialect `ml`; strings are looked up by the dialect `text`.
"""

from mm_parser_onnx.importers.ml import features, labels, linear, svm, trees

FAMILIES = tuple(module.FAMILY for module in (features, labels, linear, svm, trees))
