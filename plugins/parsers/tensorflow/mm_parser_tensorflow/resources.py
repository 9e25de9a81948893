"""What a graph captures: variables, tables, tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from mm_core.errors import ParseError
from mm_core.types import TensorData
from mm_parser_tensorflow.elements import weight_of

if TYPE_CHECKING:
    from mm_parser_tensorflow.reader import Reader


class Resource:
    """A captured tensor: the handle of a variable or table, or a tensor of plain elements. Read when it is used."""

    def __init__(self, reader: Reader, name: str, tensor: Any) -> None:
        self.reader = reader
        self.name = reader.program.variables.get(id(tensor), name)
        self.tensor = tensor
        self.read: Any = None
        """The tensor that a variable's handle gave."""
        self._data: TensorData | None = None

    def __str__(self) -> str:
        return f"the resource {self.name}"

    def value(self, dtype: Any) -> TensorData:
        """The elements of a variable, or of a captured tensor, as a weight."""
        if self._data is None:
            tensor = self.tensor
            if tensor.dtype == tf.resource:
                try:
                    self.read = tensor = tf.raw_ops.ReadVariableOp(resource=tensor, dtype=dtype)
                except tf.errors.OpError as error:
                    raise ParseError(f"the variable has no value: {error.message}", where=self.name) from error
            data = weight_of(tensor, self.name)
            data.key = self.reader.key(self.name, data)
            self._data = data
        return self._data

    def table(self, keys: Any, values: Any) -> tuple[Any, Any]:
        """Keys and values of a lookup table, as arrays."""
        try:
            found = tf.raw_ops.LookupTableExportV2(table_handle=self.tensor, Tkeys=keys, Tvalues=values)
        except tf.errors.OpError as error:
            raise ParseError(f"the table cannot be read: {error.message}", where=self.name) from error
        return found.keys.numpy(), found.values.numpy()
