"""What pyproject.toml installs is what there is: a package that is not listed is in no wheel."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_package_is_installed_and_none_that_is_not_there() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    listed = settings["tool"]["setuptools"]["packages"]
    there = {
        Path(folder).relative_to(REPOSITORY / "src").as_posix().replace("/", ".")
        for folder, _, files in os.walk(REPOSITORY / "src", followlinks=True)
        if "__init__.py" in files
    }
    assert set(listed) == there
    assert len(listed) == len(set(listed)) > 20
