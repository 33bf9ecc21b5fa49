"""A stranger's weights cost little, run nothing, and end in one sentence or in equal values."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from hashbench.hashing.state_dict import read_state
from support.crafted_weights import crafted_files, sound_files, sound_state
from support.refused import problems
from support.trials import Trial, Trials

TINY = Path(__file__).resolve().parents[1] / "plugins" / "tiny_data.py"
COUNT, SEED, PARTS = 700, 12, 8


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials() as running:
        yield running


def test_every_sound_file_is_read_with_equal_values(tmp_path: Path) -> None:
    for place, file in enumerate(sound_files()):
        path = tmp_path / f"{place}{file.suffix}"
        path.write_bytes(file.content)
        found = read_state(path)
        assert found.keys() == sound_state().keys(), file.name
        for key, value in sound_state().items():
            assert found[key].dtype == value.dtype, (file.name, key)
            assert torch.equal(found[key], value), (file.name, key)


def test_there_are_enough_files(tmp_path: Path) -> None:
    files = crafted_files(tmp_path, COUNT, SEED)
    assert len(files) == len({file.name for file in files}) >= COUNT
    again = crafted_files(tmp_path, COUNT, SEED)
    # The same on every run, but for addresses that torch's old form writes as keys.
    assert [file.name for file in files] == [file.name for file in again]
    assert sum(one == two for one, two in zip(files, again, strict=True)) > COUNT // 2


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_no_crafted_file_does_more_than_be_refused(
    part: int, tmp_path: Path, trials: Trials
) -> None:
    folder, canary = tmp_path / "files", tmp_path / "canary"
    folder.mkdir()
    files = crafted_files(canary, COUNT, SEED)[part::PARTS]
    faults: dict[str, list[str]] = {}
    costs: list[tuple[float, float, str]] = []
    for place, file in enumerate(files):
        path = folder / f"{place}{file.suffix}"
        path.write_bytes(file.content)
        trial = imported(path, tmp_path / "model", trials)
        found = problems(trial, path)
        if trial.code != 2:
            found.append(f"was taken, with {trial.code}")
        if canary.exists():
            found.append("its payload ran")
            canary.rmdir()
        if found:
            faults[file.name] = found
        costs.append((trial.seconds, trial.megabytes, file.name))
        path.unlink()
    seconds, _, slowest = max(costs)
    most = max(megabytes for _, megabytes, _ in costs)
    sys.stdout.write(f"{len(files)} files: {seconds:.2f} s at most ({slowest}), {most:.0f} MB\n")
    assert not faults, faults
    assert not (tmp_path / "model").exists()


def imported(path: Path, to: Path, trials: Trials) -> Trial:
    options = ("--backbone", "resnet18", "--dataset", "tiny", "--loss", "csq", "--to", str(to))
    arguments = ("model", "import", str(path), *options, "--plugin", str(TINY))
    return trials.run(*arguments, cwd=path.parent)


def test_the_payloads_work_where_they_are_run(tmp_path: Path) -> None:
    # Else the canary would prove nothing.
    canary = tmp_path / "canary"
    (file,) = [one for one in crafted_files(canary, 0, SEED) if one.name == "INST, raw"]
    pickle.loads(file.content)  # noqa: S301
    assert canary.exists()
