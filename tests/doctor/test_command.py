"""`hashbench doctor` as a person meets it, and the shipped model on this build and an older one."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashbench.data.embedded import __file__ as embedded
from hashbench.hashing.checkpoint import CARD, WEIGHTS, read_card
from hashbench.results.cell import CLEAN
from hashbench.runner.fingerprint import content_hash
from hashbench.zoo.stated import MEASURED, SHIPPED
from support.trials import Trials

OLDER = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}
"""What makes torch compute as on a processor without AVX."""


def doctor(
    folder: Path, *words: str, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "hashbench", "doctor", *words],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", **(env or {})},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials() as running:
        yield running


def test_the_shipped_model_is_small_and_its_card_holds() -> None:
    assert sum((SHIPPED / name).stat().st_size for name in (WEIGHTS, CARD)) <= 1_000_000
    assert {path.name for path in SHIPPED.iterdir()} - {"__pycache__"} == {
        "__init__.py",
        WEIGHTS,
        CARD,
    }
    card = read_card(SHIPPED)
    assert content_hash(SHIPPED / WEIGHTS) == card.weights
    assert (card.dataset, card.defense, card.bits, card.seed) == ("fashion", "cgat", 32, 0)
    assert card.licence == "MIT"
    assert (Path(embedded).parent / "LICENSE-fashion-mnist").read_text().startswith("The MIT")
    [clean] = card.clean.values()
    assert abs(clean - MEASURED[CLEAN]) < 1e-6


def test_quick_says_what_there_is_and_leaves_nothing(trials: Trials, tmp_path: Path) -> None:
    done = trials.run("doctor", "--quick", cwd=tmp_path, env={"HASHBENCH_CACHE": str(tmp_path)})
    assert done.code == 0, done.out + done.err
    for word in ("python", "torch", "numpy", "pandas", "plugins", "cpu", "cuda", "data cache"):
        assert f"\nok     {word}" in f"\n{done.out}"
    assert "Nothing is wrong so far" in done.out
    assert not list(tmp_path.iterdir())


def test_json_is_one_object(trials: Trials, tmp_path: Path) -> None:
    done = trials.run("doctor", "--quick", "--json", "--out", "/proc/no/results", cwd=tmp_path)
    answer = json.loads(done.out)
    assert done.code == 1
    assert answer["right"] is False
    assert {"python", "hashbench", "torch", "torchvision", "numpy"} <= answer["versions"].keys()
    wrong = [one for one in answer["findings"] if one["state"] == "wrong"]
    assert [one["subject"] for one in wrong] == ["results"]
    assert "--out" in wrong[0]["text"]


def test_wrong_words_are_refused(trials: Trials, tmp_path: Path) -> None:
    done = trials.run("doctor", "--device", "gpu", cwd=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "expected cpu or cuda" in done.err


@pytest.mark.parametrize("name", ["torch", "numpy", "pandas", "torchvision"])
def test_a_package_that_cannot_be_imported(tmp_path: Path, name: str) -> None:
    (tmp_path / f"path/{name}").mkdir(parents=True)
    (tmp_path / f"path/{name}/__init__.py").write_text("raise ImportError('libx.so.9 is missing')")
    done = doctor(tmp_path, env={"PYTHONPATH": str(tmp_path / "path")})
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    [line] = [line for line in done.stdout.splitlines() if line.split()[:2] == ["WRONG", name]]
    assert "libx.so.9 is missing" in line
    assert "pip install --force-reinstall" in line


def test_a_missing_gpu_that_was_asked_for(trials: Trials, tmp_path: Path) -> None:
    done = trials.run("doctor", "--quick", "--device", "cuda", cwd=tmp_path)
    assert done.code == 1
    assert "torch finds no CUDA device" in done.out


@pytest.mark.slow
@pytest.mark.parametrize("env", [{}, OLDER], ids=["this build", "without AVX"])
def test_the_shipped_model_gives_what_is_stated(tmp_path: Path, env: dict[str, str]) -> None:
    done = doctor(tmp_path, "--json", env=env)
    answer = json.loads(done.stdout)
    told = [one for one in answer["findings"] if one["subject"] == "model, cpu"]
    assert [one["state"] for one in told] == ["ok"] * len(MEASURED), told
    assert answer["right"], answer
    assert done.returncode == 0
    if env:
        [cpu] = [one for one in answer["findings"] if one["subject"] == "cpu"]
        # The variables were heard: torch says "DEFAULT", earlier ones "NO AVX".
        assert not re.search(r"AVX\d", cpu["text"])
