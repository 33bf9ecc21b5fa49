"""The package as a wheel lays it out, for tests that edit a copy of it."""

from __future__ import annotations

import shutil
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TOP = ("attacks", "defenses", "benchmarks", "reports")
"""Folders that are installed as sub-packages of hashbench."""


def laid_out(folder: Path) -> Path:
    """Copy hashbench into a folder that may stand on a path of imports.

    Returns:
        The copied package, `folder/hashbench`.
    """
    unwanted = shutil.ignore_patterns("__pycache__")
    package = folder / "hashbench"
    shutil.copytree(REPOSITORY / "hashbench", package, ignore=unwanted)
    for name in TOP:
        shutil.copytree(REPOSITORY / name, package / name, ignore=unwanted)
    return package
