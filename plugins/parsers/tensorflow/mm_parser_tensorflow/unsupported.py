"""What a program has that cannot be read, gathered so that one error tells all of it."""

from __future__ import annotations

from collections import defaultdict

from mm_core.errors import MMError, UnsupportedOpError

_SHOWN = 3


class Unsupported:
    """Errors by reason, with the nodes that have them."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = defaultdict(list)
        self._remedies: dict[str, None] = {}

    def add(self, error: MMError) -> None:
        """Note an error of a node."""
        self._places[error.what].append(error.where)
        if error.remedy:
            self._remedies[error.remedy] = None

    def __bool__(self) -> bool:
        return bool(self._places)

    def raise_all(self) -> None:
        """UnsupportedOpError with every reason, how often it holds and where; nothing if there is none."""
        if not self._places:
            return
        reasons = []
        for what, places in sorted(self._places.items(), key=lambda item: -len(item[1])):
            distinct = list(dict.fromkeys(filter(None, places)))
            more = f" and {len(distinct) - _SHOWN} more" if len(distinct) > _SHOWN else ""
            reasons.append(f"{what}: {len(places)}x in {', '.join(distinct[:_SHOWN])}{more}")
        count = len(reasons)
        head = "an operator is not supported" if count == 1 else f"{count} operators are not supported"
        raise UnsupportedOpError(
            f"{head}: {'; '.join(reasons)}",
            remedy="; ".join(self._remedies)
            or "mm_parser_tensorflow.compile(model) leaves what mm does not have to TensorFlow",
        )
