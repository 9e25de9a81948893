"""The TensorFlow front end. Importing this module does not import TensorFlow: `parse` and `compile` do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mm_core.errors import ParseError, PluginMissingError
from mm_core.ir import Network
from mm_core.parsing import InputShapes, Parser

if TYPE_CHECKING:
    from mm_parser_tensorflow.compiled import Compiled

__all__ = ["TensorFlowParser", "compile"]

_SUFFIXES = frozenset({".keras", ".h5", ".hdf5", ".pbtxt"})
_BASES = frozenset(
    {
        ("keras.src.models.model", "Model"),
        ("tensorflow.python.eager.polymorphic_function.concrete_function", "ConcreteFunction"),
        ("tensorflow.python.eager.polymorphic_function.polymorphic_function", "Function"),
        ("tensorflow.core.framework.graph_pb2", "GraphDef"),
    }
)
_OPTIONS = ("signature", "tags", "inputs", "outputs")


class TensorFlowParser(Parser):
    """Reads TensorFlow: SavedModel folders, .keras, .h5 and frozen .pb files, keras.Model, functions, GraphDef."""

    name: ClassVar[str] = "tensorflow"

    def accepts(self, source: object) -> bool:
        if isinstance(source, (str, os.PathLike)):
            path = Path(source)
            if path.suffix.lower() == ".pb":
                return path.name == "saved_model.pb" or not _begins_as_onnx(path)
            if path.suffix.lower() in _SUFFIXES:
                return True
            return (path / "saved_model.pb").is_file() or (path / "saved_model.pbtxt").is_file()
        return any((base.__module__, base.__name__) in _BASES for base in type(source).__mro__)

    def parse(
        self, source: Any, *, input_shapes: InputShapes | None = None, example_inputs: Any = None, **options: Any
    ) -> Network:
        """The network of a model. Nested inputs and outputs are flat, named by their path.

        `example_inputs`, for functions without an input signature and models that are not built yet: an array, a tuple
        of positional arguments or a dict of named ones. Options: `signature` and `tags` of a SavedModel; `inputs` and
        `outputs`, names of a frozen graph's tensors where its placeholders and last nodes are not meant.
        """
        unknown = sorted(set(options) - set(_OPTIONS))
        if unknown:
            raise ParseError(
                f"the TensorFlow parser has no option {', '.join(map(repr, unknown))}", available=", ".join(_OPTIONS)
            )
        for name in ("inputs", "outputs"):
            if isinstance(options.get(name), str):
                options[name] = options[name].split(",")
        require_tensorflow()
        from mm_parser_tensorflow.program import read_program
        from mm_parser_tensorflow.source import program_of

        return read_program(program_of(source, example_inputs, **options), dict(input_shapes or {}))

    def self_test(self) -> str:
        """For `mm_plugins check`: a function of one operator is read."""
        require_tensorflow()
        import tensorflow as tf

        function = tf.function(tf.nn.relu, input_signature=[tf.TensorSpec((2,), tf.float32)])
        network = self.parse(function.get_concrete_function())
        return f"TensorFlow {tf.__version__}, read {[operation.name for operation in network.operations]}"


def compile(source: Any, **options: Any) -> Compiled:
    """A callable like `source`, a keras.Model or a function on tensors, that runs in mm what mm supports.

    The rest stays in TensorFlow; `.reports` says which nodes those are and why. Each new combination of ranks, element
    types and other arguments is traced and built once, and once more where a size changes, which is open from then on
    (a model's batch always is). Engines are built again when variables have changed; with `freeze=True` that is not
    looked at, which saves time on each call. Calls that gradients are wanted of run in TensorFlow.
    Other `options` are fields of BuilderConfig, such as `backends=["cpu"]`.
    """
    require_tensorflow()
    from mm_parser_tensorflow.compiled import Compiled

    return Compiled(source, options)


def _begins_as_onnx(path: Path) -> bool:
    """Whether a .pb file begins with a small number, as ONNX models do and graphs of TensorFlow do not."""
    try:
        with path.open("rb") as file:
            return file.read(1) == b"\x08"
    except OSError:
        return False


def require_tensorflow() -> None:
    """PluginMissingError where TensorFlow is not installed."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # Its banner, not its errors.
    try:
        import tensorflow  # noqa: F401
    except ImportError as error:
        raise PluginMissingError(
            f"the TensorFlow parser needs TensorFlow: {error}",
            remedy='pip install "mm-parser-tensorflow[tensorflow-cpu]" (or [tensorflow], never both)',
        ) from error
