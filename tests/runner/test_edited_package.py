"""Keys of the package as it is installed, before and after a line of it is edited."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.package import laid_out

PROGRAM = """
import json
from hashbench.runner.plan import make_plan
from hashbench.runner.suite import compose

changes = {"defense": ["none", "cgat", "jpeg"], "attack": ["pgd-hamming"]}
plan = make_plan(compose(None, changes))
print(json.dumps({f"{type(step).__name__} {step.label}": step.key for step in plan.steps}))
"""

pytestmark = pytest.mark.slow

Keys = Callable[[str, str, str], set[str]]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as a wheel lays it out, and what names its plugins."""
    site = tmp_path_factory.mktemp("site")
    laid_out(site)
    return site


def keys_of(site: Path) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM],
        env={"PYTHONPATH": str(site), "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(site)},
        cwd=site,
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    assert {name.split()[0] for name in found} == {
        "BaseModel",
        "DefendedModel",
        "ModelCodes",
        "Probe",
        "Scores",
        "AdversarialCodes",
    }
    return found


@pytest.fixture(scope="module")
def before(package: Path) -> dict[str, str]:
    return keys_of(package)


@pytest.fixture
def changed_by(package: Path, before: dict[str, str]) -> Keys:
    """Edits one text of one file and says which kinds of steps have other keys; puts it back."""

    def edit(file: str, old: str, new: str) -> set[str]:
        path = package / "hashbench" / file
        text = path.read_text()
        assert old in text, f"{file} does not say {old!r}"
        path.write_text(text.replace(old, new, 1))
        try:
            after = keys_of(package)
        finally:
            path.write_text(text)
        assert after.keys() == before.keys()
        return {name for name, key in after.items() if key != before[name]}

    return edit


def test_an_edit_of_the_attacks_toolbox_moves_no_base_model(
    changed_by: Keys, before: dict[str, str]
) -> None:
    moved = changed_by("attacking/descent.py", "def descend(", "def  descend(")
    attacked = {name for name in before if "pgd-hamming" in name}
    probes = {name for name in before if "Probe" in name}
    trained = {name for name in before if "cgat" in name}
    clean = {name for name in before if name.startswith("Scores")}  # beside what a probe answers
    assert moved == attacked | probes | trained | clean
    assert not any(name.startswith("BaseModel") for name in moved)


def test_an_edit_of_a_wrapper_moves_no_base_model(changed_by: Keys, before: dict[str, str]) -> None:
    moved = changed_by("defending/transformed.py", "def wrap(", "def  wrap(")
    assert moved == {name for name in before if not name.startswith("BaseModel")}


@pytest.mark.parametrize("room", ["attacking", "defending", "hashing", "data", "results"])
def test_an_edit_of_a_contract_moves_no_key(changed_by: Keys, room: str) -> None:
    assert changed_by(f"{room}/contract.py", '"""What', '"""Once more: what') == set()


def test_an_edit_of_a_formula_moves_every_key(changed_by: Keys, before: dict[str, str]) -> None:
    everything = set(before)
    assert changed_by("hashing/model.py", "torch.tanh(", "torch.tanh(1.0 * ") == everything
    assert changed_by("hashing/losses/csq.py", "def bind(", "def  bind(") == everything
