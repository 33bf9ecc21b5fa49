"""A stranger's model costs little and is refused in one sentence, or is run as any other."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashbench.hashing.checkpoint import read_card
from support.crafted_models import CARD, WEIGHTS, crafted_models
from support.refused import problems
from support.trials import Trials

TINY = Path(__file__).resolve().parents[1] / "plugins" / "tiny_data.py"
SEED, PARTS = 12, 8
SUITE = """
name = "small"
dataset = "tiny"
loss = "csq"
backbone = "small-cnn:width=2,hidden=4"
bits = 16
defense = "none"
attack = "noise"
eps = "8/255"
seed = 0
[budget]
epochs = 1
inner_steps = 1
[training]
epochs = 1
"""


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials() as running:
        yield running


@pytest.fixture(scope="module")
def sound(trials: Trials, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that a run takes."""
    folder = tmp_path_factory.mktemp("sound")
    (folder / "suite.toml").write_text(SUITE)
    for arguments in (
        ("run", "suite.toml", "--out", "results", "--plugin", str(TINY)),
        ("model", "export", "results", "--to", "model"),
    ):
        done = trials.run(*arguments, cwd=folder)
        assert done.code == 0, done.err
    return folder / "model"


def test_the_sound_model_is_taken(sound: Path, trials: Trials, tmp_path: Path) -> None:
    ran = trials.run(*run(sound), cwd=tmp_path)
    assert ran.code == 0, ran.err
    checked = trials.run("model", "check", str(sound), "--plugin", str(TINY), cwd=tmp_path)
    assert checked.code == 0, checked.err
    assert "it still does" in checked.out


def run(model: Path) -> tuple[str, ...]:
    options = ("--attack", "noise", "--eps", "8/255", "--out", "other", "--plugin", str(TINY))
    return ("run", "--model", str(model), *options, "--dry-run")


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_no_crafted_model_does_more_than_be_refused(
    part: int, sound: Path, trials: Trials, tmp_path: Path
) -> None:
    card = json.loads((sound / CARD).read_text())
    models = crafted_models(card, (sound / WEIGHTS).read_bytes(), SEED)
    assert len(models) == len({model.name for model in models}) >= 500
    faults: dict[str, list[str]] = {}
    costs: list[tuple[float, float, str]] = []
    for place, model in enumerate(models[part::PARTS]):
        folder = tmp_path / f"model{place}"
        shutil.copytree(sound, folder)
        model.write(folder)
        commands = [run(folder)]
        if place % 10 == 0:
            commands.append(("model", "check", str(folder), "--plugin", str(TINY)))
        for arguments in commands:
            trial = trials.run(*arguments, cwd=tmp_path)
            found = problems(trial, folder, (0, 1, 2) if arguments[0] == "model" else (0, 2))
            if found:
                faults[f"{model.name}: {arguments[0]}"] = found
            costs.append((trial.seconds, trial.megabytes, model.name))
            if trial.code == 0 and arguments[0] == "run":
                read_card(folder)  # what is taken is a card
        shutil.rmtree(folder)
    seconds, _, slowest = max(costs)
    most = max(megabytes for _, megabytes, _ in costs)
    sys.stdout.write(f"{len(costs)} runs: {seconds:.2f} s at most ({slowest}), {most:.0f} MB\n")
    assert not faults, faults
