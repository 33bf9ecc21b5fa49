"""Fixtures of the plugin room: installed packages, plugin files, a registry of one's own."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from hashbench.runner.suite import Suite, from_plain
from hashbench.testing.case import Case
from hashbench.testing.stage import AttackStage
from support.fake_device import OnCUDA, fake_cuda, pretend_cuda

HERE = Path(__file__).resolve().parent
PACKAGES = (HERE.parent / "plugin_package", HERE.parent / "broken_plugin_package")

Call = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU, or what stands for one: a sample must not mix tensors of its own with the model's."""
    if torch.cuda.is_available():
        return
    pretend_cuda(monkeypatch)
    to, call = Case.to, AttackStage.call

    def moved(case: Case, device: str) -> Case:
        with fake_cuda():
            return to(case, device)

    def called(stage: AttackStage, case: Case, **settings: Any) -> Any:
        # Open for cases that were moved alone: it slows every operation of the others.
        with fake_cuda() if isinstance(case.images, OnCUDA) else nullcontext():
            return call(stage, case, **settings)

    monkeypatch.setattr(Case, "to", moved)
    monkeypatch.setattr(AttackStage, "call", called)


@pytest.fixture(scope="session")
def tiny_data() -> Path:
    """A plugin file with the data set `tiny`."""
    return HERE / "tiny_data.py"


@pytest.fixture(scope="session")
def twenty_lines() -> Path:
    """A plugin file with the attack `sign-step`."""
    return HERE / "twenty_lines.py"


@pytest.fixture
def tiny_suite(tiny_data: Path) -> Callable[..., Suite]:
    """Builds a suite that runs in a blink: (plugin files..., defense=, attack=) -> suite."""

    def build(*files: Path, defense: str = "none", attack: str = "noise") -> Suite:
        return from_plain(
            {
                "name": "tiny",
                "plugin": [str(tiny_data), *map(str, files)],
                "dataset": "tiny",
                "backbone": "small-cnn:width=4,hidden=16",
                "bits": 8,
                "eps": "24/255",
                "defense": defense,
                "attack": attack,
                "training": {"epochs": 15, "batch": 8},
                "budget": {"epochs": 1, "inner_steps": 1},
            },
            "the tiny suite",
        )

    return build


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the example package and its broken sibling, as pip installs them."""
    # Built from copies: setuptools leaves its intermediate files next to the sources.
    work = tmp_path_factory.mktemp("third-party")
    for package in PACKAGES:
        shutil.copytree(package, work / package.name)
    target = work / "site"
    command = [sys.executable, "-P", "-m", "pip", "install", "--quiet", "--no-deps"]
    command += ["--disable-pip-version-check", "--target", str(target)]
    if _setuptools_is_here():
        command += ["--no-build-isolation", "--no-index"]
    done = subprocess.run(
        [*command, *(str(work / package.name) for package in PACKAGES)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return target


def _setuptools_is_here() -> bool:
    """Whether the environment can build a wheel itself; otherwise pip fetches what is needed."""
    try:
        version = importlib.metadata.version("setuptools")
    except importlib.metadata.PackageNotFoundError:
        return False
    return int(version.split(".")[0]) >= 77


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Runs Python in an empty folder: (arguments..., path=None) -> the finished process.

    `path` is put in front of the import path, as an installed package's folder.
    """

    def run(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
        places = [str(path)] if path else []
        places += [os.environ["PYTHONPATH"]] if "PYTHONPATH" in os.environ else []
        return subprocess.run(
            [sys.executable, "-P", *arguments],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(places),
                "OMP_NUM_THREADS": "1",
                "COLUMNS": "240",
                "NO_COLOR": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run
