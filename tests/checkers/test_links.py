"""The links that an editable install rests on, and that nothing else depends on them.

Wheels come out the same from a clone, from an archive that was unpacked without links, and from a
source distribution; keys of results are the same from all of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.package import REPOSITORY, TOP

LINKS = {"src/hashbench": "../hashbench"} | {f"hashbench/{room}": f"../{room}" for room in TOP}
PARTS = ("hashbench", "src", *TOP)
FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")


def build(tree: Path, hook: str) -> Path:
    """What setuptools builds of a tree, by one of its hooks: `build_wheel`, `build_sdist`, ..."""
    folder = tree / "built"
    folder.mkdir(exist_ok=True)
    code = f"from setuptools import build_meta; print('made', build_meta.{hook}('built'))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], cwd=tree, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / done.stdout.split()[-1]


def contents(wheel: Path) -> Mapping[str, bytes]:
    """Every file of a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the checkout, as far as it is installed; links stay links."""
    tree = tmp_path / "checkout"
    passed_over = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in PARTS:
        shutil.copytree(REPOSITORY / name, tree / name, symlinks=True, ignore=passed_over)
    for name in FILES:
        shutil.copy(REPOSITORY / name, tree / name)
    return tree


def test_the_links_are_those_and_no_others() -> None:
    found = {
        str(path.relative_to(REPOSITORY)): str(path.readlink())
        for name in PARTS
        for path in (REPOSITORY / name).rglob("*")
        if path.is_symlink()
    }
    assert found == LINKS


def test_an_editable_install_is_one_path_on_which_only_hashbench_lies(tree: Path) -> None:
    installed = contents(build(tree, "build_editable"))
    beside = {name: data for name, data in installed.items() if ".dist-info/" not in name}
    ((name, path),) = beside.items()
    assert name.endswith(".pth")
    assert path.decode().split() == [str(tree / "src")]
    offered = {path.name for path in (tree / "src").iterdir() if path.suffix != ".egg-info"}
    assert offered == {"hashbench"}
    # A file that is added later needs no new install, in whichever room.
    (tree / "attacks/later.py").write_text("NUMBER = 7\n")
    code = "from hashbench.attacks.later import NUMBER; print(NUMBER)"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": path.decode().strip()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "7\n", done.stderr


def test_the_same_wheel_with_links_without_them_and_from_a_source_distribution(
    tree: Path, tmp_path: Path
) -> None:
    wheel = contents(build(tree, "build_wheel"))
    for room in TOP:
        for path in (REPOSITORY / room).glob("*.py"):
            assert wheel[f"hashbench/{room}/{path.name}"] == path.read_bytes()
    assert {name.split("/")[0].split("-")[0] for name in wheel} == {"hashbench"}

    with tarfile.open(build(tree, "build_sdist")) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert not [path for path in unpacked.rglob("*") if path.is_symlink()]
    assert contents(build(unpacked, "build_wheel")) == wheel

    # What pip makes of a link in a .zip: a file that holds where it leads.
    for build_folder in ("build", "built", "src/hashbench.egg-info"):
        shutil.rmtree(tree / build_folder, ignore_errors=True)
    for link, target in LINKS.items():
        (tree / link).unlink()
        (tree / link).write_text(target)
    assert contents(build(tree, "build_wheel")) == wheel


def test_keys_are_the_same_in_a_wheel_and_by_way_of_links(tree: Path, tmp_path: Path) -> None:
    """Also where a folder that they lead to is on the path itself, as in a clone's own folder."""
    shutil.unpack_archive(build(tree, "build_wheel"), tmp_path / "site", "zip")
    code = """
import json
import hashbench
from hashbench import plugins
from hashbench.plugins import Kind
from hashbench.runner.fingerprint import file_hash, rooms_hash, source_hash
found = {
    f"{kind} {name}": source_hash(type(plugins.get(kind, name)))
    for kind in (Kind.ATTACK, Kind.DEFENSE, Kind.LOSS, Kind.DATASET)
    for name in plugins.names(kind)
    if type(plugins.get(kind, name)).__module__.startswith("hashbench.")
}
found["rooms"] = rooms_hash("attacking", "attacks", "defenses", "hashing", "hashing.weights")
found["file"] = file_hash("runner/scoring.py")
print(hashbench.__path__[0], json.dumps(found), sep="\\n")
"""
    said = {}
    for place in (tmp_path / "site", tree / "src", tree):
        done = subprocess.run(
            [sys.executable, "-P", "-c", code],
            env={**os.environ, "PYTHONPATH": str(place)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        home, keys = done.stdout.splitlines()
        assert home == str(place / "hashbench")
        assert keys.count("attack ") > 10
        said[home] = keys
    assert len(said) == 3
    assert len(set(said.values())) == 1
