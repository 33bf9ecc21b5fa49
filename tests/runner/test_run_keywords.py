"""`run` and `load_suite` with keywords and mappings: the keys of a suite file, by one path."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import hashbench
from hashbench import plugins
from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.plugins import Attack
from hashbench.plugins.registered import Registry
from hashbench.runner.suite import KEYS, compose
from hashbench.runner.suite_keys import SuiteKeys

ASKED: dict[str, Any] = {
    "defense": ["cgat", "none"],
    "attack": "hag:steps=3",
    "eps": 8 / 255,
    "bits": 16,
    "training": {"epochs": 1},
}

TINY = str(Path(__file__).resolve().parents[1] / "plugins" / "tiny_data.py")


def test_the_keywords_are_the_keys_of_a_suite_file() -> None:
    assert set(SuiteKeys.__annotations__) == set(KEYS)


def test_keywords_a_mapping_a_file_and_options_are_one_suite(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        'name = "quick"\ndefense = ["cgat", "none"]\nattack = "hag:steps=3"\neps = "8/255"\n'
        "bits = 16\ntraining = {epochs = 1}\n"
    )
    wanted = compose(None, ASKED)
    assert str(wanted.eps[0]) == "8/255"
    assert hashbench.load_suite(**ASKED) == wanted
    assert hashbench.load_suite(ASKED) == wanted
    assert hashbench.load_suite("quick", **ASKED) == wanted
    assert hashbench.load_suite(hashbench.load_suite(), **ASKED) == wanted
    from_file = hashbench.load_suite(file)
    # What is written in a file knows its folder, where paths start from.
    at = tuple(replace(spec, folder=None) for spec in from_file.attack)
    assert (at, from_file.eps, from_file.bits) == (wanted.attack, wanted.eps, wanted.bits)


def test_none_is_what_was_not_said_and_ranges_are_lists() -> None:
    nothing: Any = dict.fromkeys(KEYS)
    assert hashbench.load_suite(**nothing) == hashbench.load_suite("quick")
    assert hashbench.load_suite(seed=range(3)).seed == (0, 1, 2)
    assert hashbench.load_suite(attack=[]).attack == ()


def test_objects_of_plugins_stand_for_their_names() -> None:
    found = plugins.get("attack", "hag:steps=3")
    assert isinstance(found, Attack)
    assert (
        hashbench.load_suite(attack=[found]).attack
        == hashbench.load_suite(attack="hag:steps=3").attack
    )


@pytest.mark.usefixtures("fresh_registry")
def test_run_takes_both(tmp_path: Path) -> None:
    small: dict[str, Any] = {
        "plugin": TINY,
        "dataset": "tiny",
        "backbone": "small-cnn:width=4,hidden=16",
        "bits": 8,
        "training": {"epochs": 2, "batch": 8},
        "attack": "noise",
        "eps": "24/255",
    }
    one = hashbench.run(small, out=tmp_path / "one", defense="none")
    two = hashbench.run(**{**small, "defense": "none"}, out=tmp_path / "two")
    assert [(r.cell, dict(r.metrics)) for r in one.cells] == [
        (r.cell, dict(r.metrics)) for r in two.cells
    ]
    assert len(one.cells) == 2


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"defence": "cgat"}, "run has no parameter 'defence'; did you mean 'defense'"),
        ({"worker": 2}, "did you mean 'workers'"),
        ({"suite": {"attak": "hag"}}, "there is no key 'attak'; did you mean 'attack'"),
        ({"training": {"epoch": 1}}, r"\[training\] has no key 'epoch'; did you mean 'epochs'"),
        ({"attack": "hga"}, "did you mean 'hag'"),
        ({"attack": [3]}, "attack holds 3, expected a name or a table"),
        ({"bits": "many"}, "bits: expected a whole number"),
        ({"suite": 3}, "a suite is a file's path, a name, a mapping or a Suite, not 3"),
        ({"workers": 0}, "workers is 0"),
        ({"defense": []}, "defense is an empty list"),
    ],
)
def test_wrong_words_are_told_and_nothing_is_made(
    asked: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=said):
        hashbench.run(**asked, out=tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


def test_a_suite_with_names_in_place_of_specs_is_refused() -> None:
    suite = hashbench.load_suite("quick")
    wrong: Any = ("hag",)
    with pytest.raises(UsageError, match=r"load_suite\(suite, attack="):
        replace(suite, attack=wrong)


@pytest.mark.parametrize("whole", range(1, 255))
def test_a_float_that_was_computed_as_255ths_is_them(whole: int) -> None:
    assert Eps.parse(whole / 255).fraction == Eps.parse(f"{whole}/255").fraction
    assert str(Eps.parse(whole / 255)) in {f"{whole}/255", str(whole / 255)}


@pytest.mark.parametrize("short", [0.0, 0.03, 0.031, 0.0314, 0.2, 0.4, 1.0])
def test_a_short_decimal_stays_what_it_is(short: float) -> None:
    assert str(Eps.parse(short)) == str(short)
    assert Eps.parse(short).fraction == Eps.parse(str(short)).fraction


def test_the_face_is_quick_and_says_its_version(fresh_registry: Registry) -> None:
    del fresh_registry
    code = (
        "import sys, hashbench; new = set(sys.modules); "
        "assert not new & {'torch', 'numpy', 'pandas', 'rich', 'importlib.metadata'}, new; "
        "from importlib.metadata import version; "
        "assert hashbench.__version__ == version('hashbench')"
    )
    subprocess.run([sys.executable, "-P", "-S", "-c", _with_paths(code)], check=True)
    assert "__version__" in dir(hashbench)


def _with_paths(code: str) -> str:
    """Without `site`, which imports a lot of its own for editable installs."""
    paths = [path for path in sys.path if path]
    root = str(Path(hashbench.__file__).parents[1])
    return f"import sys; sys.path[:0] = {[root, *paths]!r}; {code}"
