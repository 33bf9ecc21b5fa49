"""docs/stability.md says what the code keeps: faces, exit codes, columns, the plugin interface."""

from __future__ import annotations

import ast
import re
import signal
import tomllib
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import hashbench
from hashbench.cli import options
from hashbench.cli.scaffold import requirement
from hashbench.plugins.card import API
from hashbench.results import COLUMNS
from support.package import REPOSITORY

PAGE = (REPOSITORY / "docs/stability.md").read_text()

FACES = (
    "hashbench",
    "hashbench.attacking",
    "hashbench.certifying",
    "hashbench.data",
    "hashbench.defending",
    "hashbench.hashing",
    "hashbench.plugins",
    "hashbench.results",
    "hashbench.retrieval",
    "hashbench.testing",
)


def first_column(heading: str) -> list[str]:
    """The first column of the first table under a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("|")]
    return [row.strip("`") for row in rows[2:]]


def offered(path: Path) -> bool:
    """Whether a module has an `__all__`."""
    return any(
        isinstance(line, ast.Assign)
        and any(isinstance(name, ast.Name) and name.id == "__all__" for name in line.targets)
        for line in ast.parse(path.read_text()).body
    )


def test_the_page_lists_the_faces_and_no_other() -> None:
    assert sorted(first_column("Names")) == sorted(FACES)


def test_the_faces_are_the_modules_with_a_list_of_names() -> None:
    root = Path(hashbench.__file__).parent
    found = {
        ".".join(["hashbench", *path.relative_to(root).parent.parts])
        for path in root.rglob("__init__.py")
        if offered(path)
    }
    assert found == set(FACES)


@pytest.mark.parametrize("face", FACES)
def test_every_public_name_is_there_and_listed(face: str) -> None:
    module = import_module(face)
    assert len(set(module.__all__)) == len(module.__all__)
    assert not [name for name in module.__all__ if name.startswith("_")]
    assert set(module.__all__) <= set(dir(module))
    for name in module.__all__:
        assert getattr(module, name) is not None, name


def test_exit_codes() -> None:
    codes = {value for name, value in vars(options).items() if name.startswith("EXIT_")}
    codes |= {128 + signal.SIGHUP, 128 + signal.SIGTERM}  # as `hashbench.cli.ended` counts them
    assert {int(code) for code in first_column("The command line")} == {0, *codes}


def test_columns() -> None:
    (named,) = re.findall(r"with the columns\n(.*?)\.\n", PAGE, re.DOTALL)
    assert tuple(re.findall(r"`(\w+)`", named)) == COLUMNS


def test_versions_of_the_plugin_interface() -> None:
    assert [int(cell) for cell in first_column("The plugin interface")] == list(range(1, API + 1))


def test_the_range_that_a_package_asks_for() -> None:
    assert f"`{requirement(version('hashbench'))}`" in PAGE


def test_the_filter_that_authors_are_told_is_ours() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    told = tomllib.loads(block)["tool"]["pytest"]["ini_options"]["filterwarnings"]
    ours = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    assert set(told) <= set(ours["tool"]["pytest"]["ini_options"]["filterwarnings"])
