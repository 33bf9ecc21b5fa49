"""Every Python block of docs/python.md and of README's section runs, in its order, in one script.

Where a block trains models (`hashbench.run`), a small suite is laid under what it asks for.
"""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import hashbench
from hashbench.plugins.registered import Registry
from support.pages import DOCS, README, blocks, small_suite

PAGE = DOCS / "python.md"

SMALL: dict[str, Any] = tomllib.loads(small_suite(epochs=15))


def sessions(page: Path) -> list[str]:
    """Python blocks that are no file: those begin with its name."""
    python = [block.text for block in blocks(page) if block.language == "python"]
    return [text for text in python if not text.startswith("# ")]


class Face:
    """`hashbench` with a `run` that is small."""

    def __getattr__(self, name: str) -> object:
        return getattr(hashbench, name)

    def run(self, suite: Any = None, **asked: Any) -> object:
        said = suite if isinstance(suite, dict) else {}
        training = {**SMALL["training"], **asked.pop("training", said.get("training", {}))}
        return hashbench.run({**SMALL, **said, "training": training}, **asked)


@pytest.fixture
def script(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_registry: Registry
) -> dict[str, Any]:
    del fresh_registry
    monkeypatch.chdir(tmp_path)
    return {"hashbench": Face()}


def run(text: str, names: dict[str, Any]) -> None:
    """Run a block; the face stays the small one."""
    tree = ast.parse(text)
    tree.body = [
        line
        for line in tree.body
        if not (isinstance(line, ast.Import) and line.names[0].name == "hashbench")
    ]
    exec(compile(tree, "the page", "exec"), names)  # noqa: S102 - it is our own page


def test_the_page(script: dict[str, Any]) -> None:
    texts = sessions(PAGE)
    assert len(texts) == 9
    for text in texts:
        run(text, script)
    assert not script["results"].failed
    assert {"clean", "worst case", "flagged"} <= set(script["wide"].columns)
    named = PAGE.read_text().partition("`leaderboard()` has the columns")[2].partition(".\n")[0]
    fixed = [column for column in script["wide"].columns if column not in _attacks(script)]
    assert re.findall(r"`([a-z ]+)`", named.partition("Its worst")[0]) == fixed


def _attacks(script: dict[str, Any]) -> set[str]:
    return {result.cell.attack for result in script["results"].cells} | {
        name for name in script["wide"].columns if ":" in name or name == "noise"
    }


@pytest.mark.slow
def test_readme(script: dict[str, Any]) -> None:
    first, second = sessions(README)
    assert len([line for line in first.splitlines() if line and not line.startswith("#")]) <= 10
    run(first, script)
    assert not script["results"].failed
    assert {result.cell.attack for result in script["results"].cells} == {"none", "auto"}
    assert script["results"].cells[0].cell.backbone == "ResNet"
    run(second, script)
    assert list(script["wide"]["defense"].sort_values()) == ["cgat", "none"]
