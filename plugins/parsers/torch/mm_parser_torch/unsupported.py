"""What a program has that cannot be read, gathered so that one error tells all of it."""

from __future__ import annotations

from collections.abc import Iterator

from mm_core.errors import MMError, UnsupportedOpError

_SHOWN = 3


class Unsupported:
    """Errors by reason; the same reason in several modules counts up."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}
        self._remedies: dict[str, None] = {}

    def add(self, error: MMError) -> None:
        """Note an error of a node."""
        what = f"{error.what} (available: {error.available})" if error.available else error.what
        self._places.setdefault(what, []).append(error.where)
        if error.remedy:
            self._remedies[error.remedy] = None

    def __bool__(self) -> bool:
        return bool(self._places)

    def first(self) -> str:
        """One reason; empty if there is none."""
        return next(iter(self._places), "")

    def _lines(self) -> Iterator[str]:
        for what, places in sorted(self._places.items(), key=lambda item: -len(item[1])):
            distinct = list(dict.fromkeys(filter(None, places)))
            more = f" and {len(distinct) - _SHOWN} more" if len(distinct) > _SHOWN else ""
            at = f" in {', '.join(distinct[:_SHOWN])}{more}" if distinct else ""
            yield f"{what}: {len(places)}x{at}"

    def raise_all(self) -> None:
        """UnsupportedOpError with every reason, its count and the modules; nothing if there is none."""
        if not self._places:
            return
        remedy = "; ".join(self._remedies) or (
            'write an operator package and an importer, or let torch.compile(backend="mm") run these in PyTorch'
        )
        count = len(self._places)
        head = "an operator is not supported" if count == 1 else f"{count} operators are not supported"
        raise UnsupportedOpError(f"{head}: " + "; ".join(self._lines()), remedy=remedy)
