"""Names that moved: each works, and warns once, where it is used, with what to write instead."""

from __future__ import annotations

import re
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import hashbench
from hashbench import attacking, defending, hashing, retrieval
from hashbench.deprecated import former_names

Call = Callable[..., subprocess.CompletedProcess[str]]

MOVED_TO_DEFENDING = (
    "AdversarialTraining",
    "Budget",
    "CenterGuidedTraining",
    "CenterTerms",
    "DefenseSetup",
    "InnerAttack",
    "InputTransformation",
    "SharedMemory",
    "TransformedModel",
    "WrappedModel",
    "mainstay_centers",
    "straight_through",
)
MOVED_TO_ATTACKING = ("circle_loss", "prototype_loss", "prototype_network", "target_rows")
NAMES = {
    "hashbench.evaluation": "hashbench.attacking",
    "hashbench.plugins.format": "hashbench.plugins.report_format",
    "hashbench.plugins.testing": "hashbench.testing",
    "hashbench.attacking.Sizes": "hashbench.attacking.NetworkSizes",
    "hashbench.retrieval.Engine": "hashbench.retrieval.Kernel",
    **{f"hashbench.hashing.{name}": f"hashbench.defending.{name}" for name in MOVED_TO_DEFENDING},
    **{f"hashbench.hashing.{name}": f"hashbench.attacking.{name}" for name in MOVED_TO_ATTACKING},
}
MODULES = ("hashbench.evaluation", "hashbench.plugins.testing")


@pytest.fixture(autouse=True)
def _unused() -> Iterator[None]:
    """As in a new process: nobody has used an old name."""

    def forget() -> None:
        for old in NAMES:
            room, _, name = old.rpartition(".")
            vars(import_module(room)).pop(name, None)
            sys.modules.pop(old, None)

    forget()
    yield
    forget()


def sentence(old: str, new: str) -> str:
    return f"{old} is now {new}; the old name goes with hashbench 0.2"


def thing(name: str) -> object:
    room, _, there = name.rpartition(".")
    found: object = getattr(import_module(room), there)
    return found


@pytest.mark.parametrize(("old", "new"), NAMES.items())
def test_an_old_name_is_the_new_one_and_warns_once(old: str, new: str) -> None:
    room, _, name = old.rpartition(".")
    here = {"__name__": "authors_module"}
    with pytest.warns(DeprecationWarning, match="the old name goes") as caught:
        exec(compile(f"from {room} import {name} as found", "author.py", "exec"), here)  # noqa: S102
    assert [str(warning.message) for warning in caught] == [sentence(old, new)]
    assert caught[0].filename == "author.py"  # the line that has to change
    assert here["found"] is thing(new)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert thing(old) is thing(new)


@pytest.mark.parametrize("old", MODULES)
def test_a_module_that_moved_is_imported_as_before(old: str) -> None:
    new = import_module(NAMES[old])
    here: dict[str, object] = {"__name__": "authors_module"}
    names = ", ".join(new.__all__)
    with pytest.warns(DeprecationWarning, match="the old name goes") as caught:
        exec(compile(f"from {old} import {names}", "author.py", "exec"), here)  # noqa: S102
    assert [str(warning.message) for warning in caught] == [sentence(old, NAMES[old])]
    assert caught[0].filename == "author.py"
    assert {name: here[name] for name in new.__all__} == {
        name: getattr(new, name) for name in new.__all__
    }
    with pytest.raises(ImportError, match="nothing"):
        exec(f"from {old} import nothing", {})  # noqa: S102


@pytest.mark.parametrize("room", [hashbench, hashing, attacking, retrieval, hashbench.plugins])
def test_other_names_are_unknown_as_ever_and_old_ones_are_not_offered(room: object) -> None:
    name = getattr(room, "__name__", "")
    with pytest.raises(AttributeError, match=f"^module '{name}' has no attribute 'nothing'$"):
        _ = room.nothing  # type: ignore[attr-defined]
    places = [old.rpartition(".") for old in NAMES]
    assert not {old for place, _, old in places if place == name and old in dir(room)}


def test_a_table_of_ones_own() -> None:
    module = sys.modules[__name__]
    find = former_names(__name__, {"Elder": "hashbench.defending.Budget"}, gone="9.9")
    with pytest.warns(DeprecationWarning, match="the old name goes") as caught:
        assert find("Elder") is defending.Budget
    assert [str(warning.message) for warning in caught] == [
        f"{__name__}.Elder is now hashbench.defending.Budget; the old name goes with hashbench 9.9"
    ]
    assert caught[0].filename == __file__
    assert vars(module).pop("Elder") is defending.Budget


def test_old_names_end_when_it_was_said() -> None:
    """Raise the version, and this names the tables that have to go."""
    now = tuple(int(part) for part in version("hashbench").split(".")[:2])
    overdue = [
        f"{path.name}: gone={gone[0]}.{gone[1]}"
        for path in Path(hashbench.__file__).parent.rglob("*.py")
        for gone in re.findall(r'gone="(\d+)\.(\d+)"', path.read_text())
        if tuple(int(part) for part in gone) <= now
    ]
    assert not overdue


def test_nothing_of_ours_uses_an_old_name(call: Call) -> None:
    """Every module of the package is imported, with these warnings as errors."""
    code = (
        "import importlib, pkgutil, warnings\n"
        "warnings.filterwarnings('error', 'hashbench', DeprecationWarning)\n"
        "import hashbench\n"
        "rooms = [hashbench.__path__[0]]\n"
        "names = [found.name for found in pkgutil.walk_packages(rooms, 'hashbench.')]\n"
        "for room in ('attacks', 'defenses', 'reports', 'benchmarks'):\n"
        "    path = importlib.import_module(f'hashbench.{room}').__path__\n"
        "    names += [f.name for f in pkgutil.walk_packages(path, f'hashbench.{room}.')]\n"
        f"names = sorted(set(names) - {set(MODULES)!r} - {{'hashbench.__main__'}})\n"
        "extras = []\n"
        "for name in names:\n"
        "    try:\n"
        "        importlib.import_module(name)\n"
        "    except ModuleNotFoundError as error:\n"
        "        assert not error.name.startswith('hashbench'), error\n"
        "        extras.append(name)\n"
        "assert len(names) > 150, names\n"
        "print(extras)\n"
    )
    done = call("-c", code)
    assert done.returncode == 0, done.stderr
