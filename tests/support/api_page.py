"""docs/api.md: every public name in a line, from the docstrings. Run it to write the page anew."""

from __future__ import annotations

import ast
import inspect
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import ModuleType

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs/api.md"

HEAD = """# Public names

Every name that [stability.md](stability.md) promises, by the module it is taken from: a line each,
from its docstring. `help(NAME)` in Python says more: arguments with shapes and ranges, errors,
sources. How they are used is in [writing-plugins.md](writing-plugins.md).

This page is written by `python tests/support/api_page.py`.
"""

TAIL = """
What to read next: [stability.md](stability.md).
"""


def faces() -> list[str]:
    """The public modules, as the table of stability.md lists them."""
    page = (REPOSITORY / "docs/stability.md").read_text()
    section = page.partition("\n## Names\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip(" `") for line in section.splitlines() if line[:1] == "|"]
    return rows[2:]


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for face in faces():
        module = import_module(face)
        parts.append(
            f"\n## {face}\n\n{_first_line(module.__doc__)}\n\n| name | what it is |\n|---|---|\n"
        )
        parts += [
            f"| `{name}` | {words(module, name).replace('|', chr(92) + '|')} |\n"
            for name in sorted(module.__all__, key=lambda name: (name.lower(), name))
        ]
    return "".join([*parts, TAIL])


def words(module: ModuleType, name: str) -> str:
    """What a name is: the first line of its docstring, or of that below the line that sets it."""
    value = getattr(module, name)
    if inspect.isclass(value) or inspect.isroutine(value) or inspect.ismodule(value):
        return _first_line(inspect.getdoc(value))
    for home in _homes(module, name):
        body = ast.parse(inspect.getsource(home)).body
        for line, below in pairwise(body):
            targets = (
                line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
            )
            named = any(isinstance(one, ast.Name) and one.id == name for one in targets)
            if named and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                return _first_line(str(below.value.value))
    return ""


def _homes(module: ModuleType, name: str) -> list[ModuleType]:
    """The modules that a name is handed on from, down to where it is set."""
    found = [module]
    for line in ast.walk(ast.parse(inspect.getsource(module))):
        if (
            isinstance(line, ast.ImportFrom)
            and line.module
            and any(a.name == name for a in line.names)
        ):
            found += _homes(import_module(line.module), name)
    return found


def _first_line(text: str | None) -> str:
    """A docstring's first sentence, on one line."""
    return " ".join((text or "").strip().split("\n\n")[0].split())


if __name__ == "__main__":
    PAGE.write_text(page())
