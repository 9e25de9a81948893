"""Labels and categories: elements looked up in a list and replaced by what stands beside them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mm_core.ir import Graph, Value
from mm_core.types import BY_NAME, Array
from mm_parser_onnx.node import REQUIRED, Node
from mm_parser_onnx.table import CLASSICAL, Family

FAMILY = Family(CLASSICAL)
op = FAMILY.op
_STRING = BY_NAME["string"]


def places(g: Graph, x: Value, keys: Array) -> Value:
    """Where in `keys` each element of x stands, -1 if nowhere; of equal keys the last counts."""
    if keys.dtype == object:
        return g.op("text.find", x, keys)  # type: ignore[no-any-return]
    # Read backwards, so that the first of equal keys is the last.
    ascending, place = np.unique(keys[::-1], return_index=True)
    found = g.op("ml.find", x, ascending)
    return g.gather(np.append(len(keys) - 1 - place, -1).astype(np.int64), found, axis=0)  # type: ignore[no-any-return]


def _replaced(g: Graph, node: Node, keys: Array, values: Array, default: Any) -> Value:
    """Each element's value; -1, for an element that is no key, reads the default, which stands last."""
    if len(keys) != len(values):
        raise node.unsupported(f"it has {len(keys)} keys and {len(values)} values")
    x = node.input()
    if (keys.dtype == object) != (node.type().dtype is _STRING):
        raise node.unsupported(f"the input {x.type} and the keys are not of one type")
    if keys.dtype != object:
        x = g.cast(x, to=keys.dtype)
    table = np.append(values, np.array([default], values.dtype))
    return g.gather(g.constant(table), places(g, x, keys), axis=0)  # type: ignore[no-any-return]


@op("LabelEncoder")
def label_encoder_1(g: Graph, node: Node) -> Any:
    words = np.array(node.texts("classes_strings", REQUIRED), object)
    return _between_words_and_numbers(g, node, words, np.arange(len(words)))


@op("CategoryMapper")
def category_mapper(g: Graph, node: Node) -> Any:
    words, numbers = node.texts("cats_strings", REQUIRED), node.ints("cats_int64s", REQUIRED)
    return _between_words_and_numbers(g, node, np.array(words, object), np.array(numbers, np.int64))


def _between_words_and_numbers(g: Graph, node: Node, words: Array, numbers: Array) -> Value:
    text, number = node.text("default_string", "_Unused"), node.int("default_int64", -1)
    if node.type().dtype is _STRING:
        return _replaced(g, node, words, numbers, number)
    return _replaced(g, node, numbers, words, text)


@op("LabelEncoder", since=2)
def label_encoder_2(g: Graph, node: Node) -> Any:
    keys, values = _listed(node, "keys"), _listed(node, "values")
    default = node.tensor("default_tensor")
    defaults = {
        "O": node.text("default_string", "_Unused"),
        "f": node.float("default_float", -0.0),
        "i": node.int("default_int64", -1),
    }
    stated = defaults[values.dtype.kind] if default is None else default.numpy().reshape(-1)[0]
    return _replaced(g, node, keys, values, stated)


def _listed(node: Node, name: str) -> Array:
    """The keys or values, from whichever attribute has them."""
    tensor = node.tensor(f"{name}_tensor")
    found = [] if tensor is None else [tensor.numpy().reshape(-1)]
    readers = (("strings", node.texts, object), ("int64s", node.ints, np.int64), ("floats", node.floats, np.float32))
    for suffix, read, storage in readers:
        items = read(f"{name}_{suffix}")
        if items is not None:
            found.append(np.array(items, storage))
    if len(found) != 1:
        raise node.unsupported(f"it needs one list of {name}, it has {len(found)}")
    return found[0]


@op("OneHotEncoder")
def one_hot_encoder(g: Graph, node: Node) -> Any:
    """A new last axis with 1 at the place of the element among the categories. Without `zeros` each must be one."""
    words, numbers = node.texts("cats_strings", ()), node.ints("cats_int64s", ())
    if bool(words) == bool(numbers):
        raise node.unsupported("one of cats_strings and cats_int64s is needed")
    is_text = node.type().dtype is _STRING
    if is_text != bool(words):
        raise node.unsupported(f"the categories are not what the input {node.type()} holds")
    categories = np.array(words, object) if words else np.array(numbers, np.int64)
    x = node.input() if is_text else g.cast(node.input(), to="int64")
    place, every = places(g, x, categories), np.arange(len(categories))
    if not node.flag("zeros", True):
        # Reading beyond the end is the error that an unknown category must be.
        place = g.gather(g.constant(every), g.select(g.less(place, 0), len(categories), place), axis=0)
    return g.cast(g.equal(g.unsqueeze(place, axes=(-1,)), every), to="float32")
