"""Reading imports and names out of source files, for the rules on who may import whom."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Import:
    """`from module import name` or `import module` (name None), outside `if TYPE_CHECKING`."""

    path: Path
    line: int
    module: str
    name: str | None

    def __str__(self) -> str:
        what = f"from {self.module} import {self.name}" if self.name else f"import {self.module}"
        return f"{self.path.relative_to(ROOT)}:{self.line}: {what}"


def sources(folder: Path, pattern: str = "**/*.py") -> list[Path]:
    return sorted(folder.glob(pattern))


def imports(path: Path, *, package: str = "") -> list[Import]:
    """All imports of a file at any depth; relative ones are resolved against `package`, its parent package."""
    return list(_imports(ast.parse(path.read_text(), str(path)), path, package))


def _imports(node: ast.AST, path: Path, package: str) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            for other in child.orelse:
                yield from _imports(other, path, package)
        elif isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(path, child.lineno, alias.name, None)
        elif isinstance(child, ast.ImportFrom):
            base = child.module or ""
            if child.level:
                parents = package.split(".")
                base = ".".join([*parents[: len(parents) - child.level + 1], *filter(None, [base])])
            for alias in child.names:
                yield Import(path, child.lineno, base, alias.name)
        else:
            yield from _imports(child, path, package)


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def words(path: Path) -> Iterator[tuple[int, str]]:
    """Every identifier and every string of a file with its line; docstrings and comments are left out."""
    text = path.read_text()
    documented = {
        node.body[0].lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and ast.get_docstring(node, clean=False) is not None
    }
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME or (token.type == tokenize.STRING and token.start[0] not in documented):
            yield token.start[0], token.string
