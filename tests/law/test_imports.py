"""The law of imports: it holds, it catches what it is for, and no import runs in a circle."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from support.package import DATA, REPOSITORY, TOP, laid_out


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    """What the tool says of the package in a folder."""
    return subprocess.run(
        [
            sys.executable,
            "-c",
            "from importlinter.cli import lint_imports_command as main; main()",
            str(REPOSITORY / "pyproject.toml"),
            "--no-cache",
        ],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_law_holds(tmp_path: Path) -> None:
    laid_out(tmp_path, *DATA)
    done = linted(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        (
            "retrieval/packing.py",
            "from hashbench.plugins.card import Card",
            "A room imports only rooms below it",
        ),
        (
            "hashing/trainer.py",
            "from hashbench.attacking.threat import Threat",
            "A room imports only rooms below it",
        ),
        (
            "plugins/lookup.py",
            "from hashbench.attacking.contract import Attack",
            "A room imports only rooms below it",
        ),
        (
            "runner/plan.py",
            "from hashbench.testing import check_attack",
            "A room imports only rooms below it",
        ),
        (
            "runner/plan.py",
            "def late():\n    from hashbench.attacks.hag import HAG",
            "Nobody imports a plugin: plugins are found by name",
        ),
        (
            "runner/plan.py",
            "from hashbench.hashing.losses.csq import CSQ",
            "Nobody imports a plugin: plugins are found by name",
        ),
        (
            "attacks/hag.py",
            "from hashbench.results.cell import Cell",
            "Attacks and defenses know the toolboxes, not what runs them",
        ),
        (
            "attacks/hag.py",
            "from hashbench.defending import Budget",
            "An attack knows no defense",
        ),
        (
            "results/cell.py",
            "import torch",
            "Data, results and reports need no torch, and no room that does",
        ),
        ("retrieval/packing.py", "import scipy", "Retrieval needs numpy alone"),
    ],
)
def test_a_forbidden_import_is_found(tmp_path: Path, file: str, line: str, contract: str) -> None:
    planted = laid_out(tmp_path, *DATA) / file
    planted.write_text(planted.read_text() + f"\n{line}\n")
    done = linted(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{contract} BROKEN" in done.stdout


def imports_of(package: Path) -> dict[str, set[str]]:
    """By module, the modules of the package that it names in any import, wherever it stands."""
    modules = {
        ".".join(path.relative_to(package.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): path
        for path in package.rglob("*.py")
    }

    def named(tree: ast.AST) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, "imports are written in full here"
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    yield whole if whole in modules else str(node.module)

    return {
        module: set(named(ast.parse(path.read_text()))) & modules.keys() - {module}
        for module, path in modules.items()
    }


def circle(graph: dict[str, set[str]]) -> list[str]:
    """One circle of a graph; empty where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_circle_of_imports_late_and_type_only_ones_included(tmp_path: Path) -> None:
    graph = imports_of(laid_out(tmp_path, *DATA))
    assert len(graph) > 250
    assert "hashbench.attacking.contract" in graph["hashbench.plugins"]  # for type checkers alone
    assert circle(graph) == []


def test_a_planted_circle_is_found(tmp_path: Path) -> None:
    package = laid_out(tmp_path, *DATA)
    planted = package / "plugins/base.py"
    planted.write_text(
        planted.read_text()
        + "\nfrom typing import TYPE_CHECKING\n"
        + "if TYPE_CHECKING:\n    from hashbench.attacking.contract import Attack\n"
    )
    assert {"hashbench.plugins.base", "hashbench.attacking.contract"} <= set(
        circle(imports_of(package))
    )


def test_contributing_shows_every_room() -> None:
    page = (REPOSITORY / "CONTRIBUTING.md").read_text()
    table = page[page.index("| room |") : page.index("`attacking/` is the toolbox")]
    [files, *rooms] = [row.split("`")[1] for row in table.splitlines()[2:] if "hashbench/" in row]
    root = REPOSITORY / "hashbench"
    shown = set(files.removeprefix("hashbench/").split())
    moved = {"evaluation"}  # the former name of a room: it only says where that is now
    assert shown | moved == {path.stem for path in root.glob("*.py")} - {"__init__", "__main__"}
    assert {room.removeprefix("hashbench/") for room in rooms} == {
        path.parent.name for path in root.glob("*/__init__.py")
    } - set(TOP)
    assert all(f"`{name}`" in table for name in TOP)
