"""The lock of CI: everything that pyproject.toml asks for, in a version that it takes."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from support.package import REPOSITORY

LOCK = (REPOSITORY / "requirements/ci.txt").read_text()
PINNED = {
    name: Version(version)
    for name, version in (
        line.split("==") for line in LOCK.splitlines() if line and not line.startswith("#")
    )
}
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
ASKED = [
    *PROJECT["dependencies"],
    *(one for extra in PROJECT["optional-dependencies"].values() for one in extra),
]


@pytest.mark.parametrize("asked", sorted(set(ASKED)))
def test_every_dependency_and_extra_is_in_it(asked: str) -> None:
    wanted = Requirement(asked)
    if wanted.marker is not None and not wanted.marker.evaluate():
        return
    name = canonicalize_name(wanted.name)
    assert name in PINNED, f"'make lock' puts {name} into requirements/ci.txt"
    assert wanted.specifier.contains(PINNED[name]), f"'make lock' takes {asked}"


def test_it_says_names_and_versions_alone() -> None:
    """No hosts, no paths, no hashes of one wheel among several."""
    first, *lines = LOCK.splitlines()
    assert first.startswith("# Written by `make lock`")
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[0-9][0-9a-z.]*", line) for line in lines)
    names = [line.partition("==")[0] for line in lines]
    assert names == sorted(set(names))
    assert {canonicalize_name(name) for name in names} == set(names)
    assert "hashbench" not in names


def test_what_the_makefile_installs_besides_is_in_it() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    (alone,) = re.findall(r"--no-deps (\S+)==(\S+)", makefile)
    assert PINNED[alone[0]] == Version(alone[1])
    assert f"{alone[0]}=={alone[1]}" in (REPOSITORY / "requirements/lock.py").read_text()


def test_the_workflow_installs_and_audits_it() -> None:
    jobs = yaml.safe_load((REPOSITORY / ".github/workflows/ci.yml").read_text())["jobs"]
    assert jobs["all"]["env"]["PIP_CONSTRAINT"].endswith("/requirements/ci.txt")
    assert {"run": "make audit"} in jobs["audit"]["steps"]
    audit = (REPOSITORY / "Makefile").read_text().partition("\naudit:")[2].partition("\n\n")[0]
    assert "pip-audit --requirement requirements/ci.txt" in audit
