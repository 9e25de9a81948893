"""The error tree. Every failure a user can cause or meet is an `MMError`.

A message says what went wrong, where (the node's name in the user's own model), what is available and what to do;
`MMError` keeps these apart so that every message has the same shape and tools can read the parts.
"""

from __future__ import annotations


class MMError(Exception):
    """Base of all errors of mm.

    `what` is one sentence. `where` names the user's node, file or plugin, `available` lists the valid choices,
    `remedy` says what to do; each may be empty.
    """

    def __init__(self, what: str, *, where: str = "", available: str = "", remedy: str = "") -> None:
        self.what = what
        self.where = where
        self.available = available
        self.remedy = remedy
        super().__init__(what, where, available, remedy)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.available, self.remedy)

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.available:
            parts.append(f"available: {self.available}")
        if self.remedy:
            parts.append(self.remedy)
        return "; ".join(parts)

    def located(self, where: str) -> MMError:
        """The same error with a place, kept if it already has one."""
        if not self.where:
            self.where = where
        return self


def _rebuild(kind: type[MMError], what: str, where: str, available: str, remedy: str) -> MMError:
    return kind(what, where=where, available=available, remedy=remedy)


class ParseError(MMError):
    """A source cannot be read as a network."""


class UnsupportedOpError(MMError):
    """An operator is unknown, or known but not with this attribute, dtype or shape."""


class VerifyError(MMError):
    """A network breaks a rule of the IR or of an operator's definition."""


class PassError(MMError):
    """A pass failed or left an invalid network."""


class BuildError(MMError):
    """A network cannot be built with this configuration."""


class CompileError(MMError):
    """A backend failed to turn a part into an executable."""


class ModelFileError(MMError):
    """A model file is damaged, truncated, of another version, or fails a check."""


class DeviceError(MMError):
    """A device is absent, lost, or refused an operation."""


class InputError(MMError):
    """Inputs of a request do not fit the model: names, dtypes, shapes or values."""


class PluginError(MMError):
    """A plugin is at fault."""


class PluginLoadError(PluginError):
    """A plugin is installed but cannot be imported or is of the wrong version."""


class PluginConflictError(PluginError):
    """Two distributions claim one name."""


class PluginMissingError(PluginError):
    """A plugin that was asked for by name is not installed."""
