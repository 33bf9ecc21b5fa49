"""The image of the demo: it holds what an installation needs, and nothing that lies about."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from pathlib import Path

from support.package import REPOSITORY


def instructions() -> list[tuple[str, str]]:
    """The instructions of the Dockerfile: the word, and the rest."""
    text = re.sub(r"^#.*\n", "", (REPOSITORY / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in lines) if word]


def copied() -> list[tuple[str, str]]:
    """What is copied from the checkout, and where to."""
    pairs = []
    for word, rest in instructions():
        if word == "COPY":
            *sources, target = [part for part in shlex.split(rest) if not part.startswith("--")]
            pairs += [(source, target) for source in sources]
    return pairs


def ignored(path: str) -> bool:
    """Whether `.dockerignore` keeps a path of the checkout away: patterns are of the root."""
    for line in (REPOSITORY / ".dockerignore").read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        deep, pattern = line.startswith("**/"), line.removeprefix("**/")
        parts = path.split("/")
        tried = parts if deep else parts[:1]
        if any(fnmatch(part, pattern) for part in tried):
            return True
    return False


def test_it_ends_in_the_demo() -> None:
    steps = instructions()
    assert steps[0] == ("FROM", "python:3.11-slim")
    assert steps[-1] == ("RUN", "make demo")
    words = {word for word, _ in steps}
    assert words <= {"FROM", "ARG", "ENV", "RUN", "USER", "WORKDIR", "CMD", "COPY"}
    # Not as root, who would own what is made.
    assert [word for word, _ in steps].index("USER") < [word for word, _ in steps].index("COPY")
    (argument,) = [rest for word, rest in steps if word == "ARG"]
    assert argument == "TORCH_INDEX=https://download.pytorch.org/whl/cpu"


def test_what_it_copies_is_there_and_not_ignored() -> None:
    sources = [source for source, _ in copied()]
    assert len(sources) == len(set(sources)) > 5
    for source in sources:
        assert (REPOSITORY / source).exists()
        assert (REPOSITORY / source).is_dir() == source.endswith("/")
        assert not ignored(source.rstrip("/"))
    tracked = subprocess.run(
        ["git", "ls-files", "--", *sources], cwd=REPOSITORY, capture_output=True, text=True
    ).stdout.splitlines()
    assert [path for path in tracked if ignored(path)] == []


def test_what_lies_about_stays_away() -> None:
    for path in (".venv/bin/python", ".git/HEAD", "results/plans", "build/lib", ".mypy_cache/x"):
        assert ignored(path)
    assert ignored("hashbench/cli/__pycache__/app.cpython-311.pyc")
    assert not ignored("hashbench/results/load.py")
    assert not ignored("reports/markdown.py")


def test_a_package_can_be_made_of_what_it_copies(tmp_path: Path) -> None:
    away = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for source, target in copied():
        origin = REPOSITORY / source
        if origin.is_dir():
            shutil.copytree(origin, tmp_path / target, symlinks=True, ignore=away)
        else:
            shutil.copy(origin, tmp_path / target)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*command, "--wheel-dir", "made", "."], cwd=tmp_path, check=True)
    (wheel,) = (tmp_path / "made").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert {
        "hashbench/cli/cite.py",
        "hashbench/plugins/references.toml",
        "hashbench/attacks/hag.py",
        "hashbench/benchmarks/suites/quick.toml",
        "hashbench/data/embedded/LICENSE-fashion-mnist",
        "hashbench/zoo/shipped/weights.safetensors",
    } <= held
