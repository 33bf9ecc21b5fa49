"""Whose sources wrote a result: those that git keeps, and no other project's."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import hashbench
from hashbench.results import made_by as module
from hashbench.results.made_by import made_by, sources_of


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package in a work tree, one of whose rooms lies elsewhere in it, behind a link."""
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, "/dev/null")
    package = tmp_path / "project" / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (room := tmp_path / "project" / "attacks").mkdir()
    (room / "mine.py").write_text("a = 1\n")
    (package / "attacks").symlink_to("../attacks")
    git(tmp_path / "project", "init", "-q")
    git(tmp_path / "project", "add", ".")
    git(tmp_path / "project", "commit", "-q", "-m", "first")
    return package


def test_the_commit_of_the_sources(package: Path) -> None:
    head = git(package, "rev-parse", "HEAD")
    assert sources_of(package) == {"commit": head, "dirty": "no"}
    (package.parent / "notes.txt").write_text("no source of the package\n")
    assert sources_of(package)["dirty"] == "no"


@pytest.mark.parametrize("file", ["package/__init__.py", "package/new.py", "attacks/mine.py"])
def test_a_changed_source_is_told(package: Path, file: str) -> None:
    """Also a file that git does not know, and one behind a link."""
    (package.parent / file).write_text("a = 2\n")
    assert sources_of(package)["dirty"] == "yes"


def test_a_package_inside_of_another_project_has_no_commit(package: Path) -> None:
    """An environment that lies in somebody's work tree, ignored or not."""
    installed = package.parent / ".venv" / "site-packages" / "package"
    installed.mkdir(parents=True)
    (installed / "__init__.py").write_text("")
    assert sources_of(installed) == {}
    (package.parent / ".gitignore").write_text(".venv\n")
    assert sources_of(installed) == {}


def test_without_git_or_a_commit_or_a_work_tree_nothing_is_said(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (bare := tmp_path / "bare" / "package").mkdir(parents=True)
    (bare / "__init__.py").write_text("")
    assert sources_of(bare) == {}
    git(bare.parent, "init", "-q")
    git(bare.parent, "add", ".")
    assert sources_of(bare) == {}  # no commit yet
    monkeypatch.setattr(module, "GIT", "no-such-program")
    assert sources_of(package) == {}


def test_the_callers_own_repository_is_not_mistaken_for_it(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = git(package, "rev-parse", "HEAD")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path))
    assert sources_of(package) == {"commit": head, "dirty": "no"}


def test_git_is_asked_once_in_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []

    def counted(package: Path) -> dict[str, str]:
        asked.append(package)
        return {"commit": "a" * 40, "dirty": "no"}

    monkeypatch.setattr(module, "sources_of", counted)
    made_by.cache_clear()
    try:
        found = [dict(made_by()) for _ in range(3)]
    finally:
        made_by.cache_clear()
    assert asked == [Path(str(hashbench.__file__)).resolve().parent]
    assert found == [{"hashbench": hashbench.__version__, "commit": "a" * 40, "dirty": "no"}] * 3
