"""What a report prints to make it again asks for the same: the command, and the suite file."""

from __future__ import annotations

import json
import shlex
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashbench.results.suite_text import suite_text
from hashbench.runner.suite import Suite, compose, load
from hashbench.runner.suite_command import command_of
from hashbench.runner.suite_files import shipped

NO_FOLDERS = {"name": "mine", "defense": ["none", "cgat:weight=2"], "attack": ["hag@published"]}

SUITES: dict[str, dict[str, Any]] = {
    "options": {"defense": ["cgat"], "attack": ["hag:steps=3", "none"], "bits": [16, 32]},
    "clean alone": {"attack": ["none"]},
    "compute": {"compute": {"threads": 2, "attack_batch": 7}, "seed": [0, 4]},
    "pixels": {"pixels": "8bit", "keep_images": 0, "eps": ["8/255", "1/2"]},
    "another data set": {"dataset": ["outfits"], "loss": ["dpsh:weight=0.1"]},
    "training": {"training": {"epochs": 3, "milestones": [0.25, 0.5], "learning_rate": 1e-5}},
    "budget": {"budget": {"epochs": 1, "inner_steps": 2, "eps": "4/255"}},
    "limits": {"limits": {"passes": 3}},
    "a file": NO_FOLDERS,
}


def typed(command: str) -> Suite:
    """What `hashbench run` makes of a command's words: options with values that may repeat."""
    words = shlex.split(command)
    assert words[:2] == ["hashbench", "run"]
    if len(words) == 3:
        return compose(words[2], {})
    options: dict[str, Any] = {"compute": {}}
    lists = ("dataset", "loss", "backbone", "bits", "defense", "attack", "eps", "seed")
    for name, value in zip(words[2::2], words[3::2], strict=True):
        key = name.removeprefix("--").replace("-", "_")
        if key in lists:
            options.setdefault(key, []).append(value)
        elif key in ("threads", "attack_batch", "device", "precision"):
            options["compute"][key] = value if key in ("device", "precision") else int(value)
        else:
            options[key] = int(value) if key == "keep_images" else value
    return compose(None, options)


@pytest.mark.parametrize("name", shipped())
def test_a_suite_that_ships_is_named(name: str) -> None:
    assert command_of(load(name)) == f"hashbench run {name}"


@pytest.mark.parametrize("kind", SUITES)
def test_the_command_or_its_file_asks_for_the_same(kind: str) -> None:
    suite = load(SUITES[kind])
    command = command_of(suite)
    if kind in ("training", "budget", "limits", "a file"):
        # No option says it, or the suite has a name of its own.
        assert command == f"hashbench run {suite.name}.toml"
    else:
        assert replace(typed(command), name=suite.name) == suite


@pytest.mark.parametrize("name", [*SUITES, *shipped()])
def test_the_text_is_a_suite_file_that_asks_for_the_same(name: str, tmp_path: Path) -> None:
    suite = load(SUITES.get(name, name))
    stored = json.loads(json.dumps(suite.to_plain()))
    path = tmp_path / "other.toml"
    path.write_text(suite_text(stored))
    assert load(path) == suite


def test_of_paths_the_last_part_is_kept(tmp_path: Path) -> None:
    suite = load({"root": "/home/ada/DATA", "plugin": ["/home/ada/mine.py"], "attack": ["hag"]})
    command, text = command_of(suite), suite_text(suite.to_plain())
    assert "ada" not in command + text
    assert shlex.split(command)[2:] == (
        ["--attack", "hag", "--root", "DATA", "--plugin", "mine.py"]
    )
    assert tomllib.loads(text)["plugin"] == ["mine.py"]
    path = tmp_path / "it.toml"
    path.write_text(text)
    assert load(path).plugin == (tmp_path / "mine.py",)


def test_given_models_and_models_in_memory() -> None:
    suite = load({"model": ["/home/ada/m"], "attack": ["hag"]})
    assert command_of(suite) == "hashbench run --attack hag --model m"
    assert tomllib.loads(suite_text(suite.to_plain()))["model"] == ["m"]
    assert suite_text({"name": "x", "in_memory": "mine"}) == ""
    assert suite_text({}) == ""


TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)


@given(
    st.dictionaries(
        TEXTS,
        TEXTS | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.lists(TEXTS),
        max_size=5,
    )
)
def test_any_texts_are_valid_toml_and_steer_no_terminal(table: dict[str, Any]) -> None:
    text = suite_text({"name": "x", "compute": table})
    assert tomllib.loads(text)["compute"] == table
    assert not set(text) & {chr(code) for code in (*range(10), *range(11, 32), 127, 0x202E)}
