"""A small suite, and the command line as a person meets it: a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Command = Callable[..., subprocess.CompletedProcess[str]]
HERE = Path(__file__).parent

SUITE = f"""
name = "small"
dataset = "tiny"
bits = 16
defense = ["none", "atrdh", "cgat"]
attack = ["noise", "hag:steps=3", "sdha:steps=3", "pgd-hamming:steps=3"]
seed = [0, 1]
plugin = ["{HERE / "tiny_data.py"}"]

[training]
epochs = 2

[budget]
epochs = 1
inner_steps = 2
"""
"""30 cells, 68 steps."""


def environment() -> dict[str, str]:
    """The variables of a child: one thread, so that tests do not fight for cores."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}


def arguments(*words: str | Path) -> list[str]:
    """A hashbench command line."""
    return [sys.executable, "-P", "-m", "hashbench", *map(str, words)]


@pytest.fixture
def hashbench(tmp_path: Path) -> Command:
    """Run a hashbench command to its end, in an empty folder."""

    def run(*words: str | Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            arguments(*words),
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment(),
            check=False,
        )
        assert done.returncode == expect, f"{words}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done

    return run


@pytest.fixture
def start(tmp_path: Path) -> Callable[[Sequence[str | Path]], subprocess.Popen[str]]:
    """Start a hashbench command as the leader of a process group of its own."""

    def begin(words: Sequence[str | Path]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            arguments(*words),
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return begin


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """The small suite as a file."""
    path = tmp_path / "small.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The CSV of the small suite, run once without interruption by one worker."""
    folder = tmp_path_factory.mktemp("reference")
    path = folder / "small.toml"
    path.write_text(SUITE)
    for words in (
        ("run", path, "--out", "whole"),
        ("report", "whole", "--format", "csv", "-o", "whole.csv"),
    ):
        subprocess.run(arguments(*words), cwd=folder, env=environment(), check=True)
    return (folder / "whole.csv").read_bytes()
