"""The package as a wheel lays it out, for tests that edit a copy of it."""

from __future__ import annotations

import shutil
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TOP = ("attacks", "defenses", "benchmarks", "reports")
"""Folders that are installed as sub-packages of hashbench: links in `hashbench/` lead to them."""

DATA = ("*.xz", "*.npz")
"""Patterns of files that hold data: most of the package, and nothing that a test of code reads."""


def laid_out(folder: Path, *unwanted: str) -> Path:
    """Copy hashbench into a folder that may stand on a path of imports.

    Args:
        folder: may be empty.
        unwanted: patterns of files that stay away.

    Returns:
        The copied package, `folder/hashbench`.
    """
    passed_over = shutil.ignore_patterns("__pycache__", *unwanted)
    package = folder / "hashbench"
    shutil.copytree(REPOSITORY / "hashbench", package, ignore=passed_over)  # follows links
    return package
