"""Writes `requirements/ci.txt`: the versions that CI installs and that are audited. `make lock`.

What `pyproject.toml` asks for, every extra among it, is resolved by pip for the Python that runs
this, and written as names and versions, without where a package comes from: so a version's local
label (`+cpu`) is left out. There are no hashes, since torch with and without CUDA has others.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = Path(__file__).with_name("ci.txt")

# The tests wrap it; it pins a requests of 2020 that it never imports. See the Makefile.
ALONE = ("torchattacks==3.5.1",)

# Of the GPU wheels of torch alone: CI has none.
OF_CUDA = ("nvidia-", "cuda-", "triton")

HEAD = f"""\
# Written by `make lock`, for Python {sys.version_info.major}.{sys.version_info.minor} on Linux. \
CI installs these versions, `make audit` looks them up.
"""


def asked() -> list[str]:
    """Every requirement of the project and its extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    return [*project["dependencies"], *(one for extra in extras for one in extra)]


def resolved(requirements: list[str], *options: str) -> dict[str, str]:
    """What pip would install into an empty environment: version by name."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
        command += ["--ignore-installed", "--report", str(report), *options, *requirements]
        subprocess.run(command, check=True)  # noqa: S603 - its words are this project's own
        found = [one["metadata"] for one in json.loads(report.read_text())["install"]]
    return {one["name"].lower().replace("_", "-"): one["version"] for one in found}


def main() -> None:
    """Resolve and write."""
    versions = {**resolved(asked()), **resolved(list(ALONE), "--no-deps")}
    lines = [
        f"{name}=={version.partition('+')[0]}\n"
        for name, version in sorted(versions.items())
        if not name.startswith(OF_CUDA)
    ]
    LOCK.write_text(HEAD + "".join(lines))


if __name__ == "__main__":
    main()
