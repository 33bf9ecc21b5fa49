"""Every Python block of docs/python.md and of README's section runs, in its order, in one script.

Where a block trains models (`hashbench.run`), a small suite is laid under what it asks for.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest

import hashbench
from hashbench.plugins.registered import Registry

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = REPOSITORY / "docs/python.md"
README = REPOSITORY / "README.md"

FENCE = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

SMALL: dict[str, Any] = {
    "plugin": str(REPOSITORY / "tests/plugins/tiny_data.py"),
    "dataset": "tiny",
    "backbone": "small-cnn:width=4,hidden=16",
    "bits": 8,
    "budget": {"epochs": 1, "inner_steps": 1},
    "training": {"batch": 8},
}


def blocks(page: Path) -> list[str]:
    """Blocks that are no file: those begin with its name."""
    return [text for text in FENCE.findall(page.read_text()) if not text.startswith("# ")]


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
    texts = blocks(PAGE)
    assert len(texts) == 7
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
    first, second = blocks(README)
    assert len([line for line in first.splitlines() if line and not line.startswith("#")]) <= 10
    run(first, script)
    assert not script["results"].failed
    assert {result.cell.attack for result in script["results"].cells} == {"none", "auto"}
    assert script["results"].cells[0].cell.backbone == "ResNet"
    run(second, script)
    assert list(script["wide"]["defense"].sort_values()) == ["cgat", "none"]
