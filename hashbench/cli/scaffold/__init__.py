"""Writes a plugin package that works as it is: what `hashbench new` does. Needs no torch."""

from __future__ import annotations

import keyword
import os
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template

from hashbench.characters import shortened
from hashbench.errors import UsageError
from hashbench.plugins.base import NAME
from hashbench.plugins.card import API
from hashbench.plugins.kinds import Kind

LONGEST = 40
"""Letters of a name: more do not fit a table."""


def write_package(kind: Kind, name: str, folder: Path, suffix: str = "") -> tuple[Path, ...]:
    """Write a package with one plugin, its test, and a README.

    Args:
        kind: of the plugin.
        name: the plugin's.
        folder: a new one.
        suffix: how the files of a format end; by default as its name.

    Returns:
        The files that were written.

    Raises:
        UsageError: the name cannot be one, or there is such a folder.
    """
    if not NAME.fullmatch(name) or len(name) > LONGEST:
        raise UsageError(
            f"{kind} name '{shortened(name)}': use small letters, digits and single hyphens, as in "
            f"my-{kind}, at most {LONGEST}"
        )
    if os.path.lexists(folder):  # a link that leads nowhere as well
        raise UsageError(f"{folder}: there is a file or folder of that name already")
    contents = rendered(kind, name, suffix)
    written = []
    for place, text in contents.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return tuple(written)


def rendered(kind: Kind, name: str, suffix: str = "") -> dict[str, str]:
    """The package's files: text by relative path. Arguments as `write_package`."""
    package = "hashbench_" + name.replace("-", "_")
    words = {
        "kind": kind.value,
        "group": kind.group,
        "name": name,
        "package": package,
        "class_name": class_name(name),
        "api": str(API),
        "requirement": requirement(version("hashbench")),
        "suffix": suffix or f".{name}",
        "usage": _usage(kind, name),
    }
    places = {
        "pyproject.toml": "pyproject.toml.txt",
        "README.md": "README.md.txt",
        f"src/{package}/__init__.py": "init.py.txt",
        f"src/{package}/{kind}.py": f"{kind}.py.txt",
        f"tests/test_{kind}.py": "test.py.txt",
    }
    templates = files(__name__) / "templates"
    return {
        place: Template((templates / source).read_text(encoding="utf-8")).substitute(words)
        for place, source in places.items()
    }


def _usage(kind: Kind, name: str) -> str:
    """The commands with which the plugin is used, as the README shows them."""
    if kind is Kind.FORMAT:
        lines = ["hashbench run --out mine", f"hashbench report mine --format {name}"]
    elif kind is Kind.HASHER:
        lines = [f"hashbench match --hash {name} --images FOLDER --out mine"]
        lines += ["hashbench report mine"]
    else:
        lines = [f"hashbench run --{kind} {name} --out mine", "hashbench report mine"]
    return "\n".join(f"    {line}" for line in lines)


def requirement(installed: str) -> str:
    """What a package asks of pip: no minor version later than the installed one.

    Args:
        installed: a version, such as `0.1.0`; gives `hashbench>=0.1,<0.2`.
    """
    major, minor = (int(part) for part in installed.split(".")[:2])
    return f"hashbench>={major}.{minor},<{major}.{minor + 1}"


def class_name(name: str) -> str:
    """`one-step` -> `OneStep`; always a name that Python allows."""
    found = "".join(part.capitalize() for part in name.split("-"))
    return f"Plugin{found}" if found[0].isdigit() or keyword.iskeyword(found) else found
