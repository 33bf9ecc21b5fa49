"""`hashbench train`: the models of a suite, by one process, and by several that torchrun starts."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from hashbench.errors import UsageError
from hashbench.hashing.together import ALONE
from hashbench.results.store import Store
from hashbench.runner.launched import Launch
from hashbench.runner.plan import make_plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.run import run_plan
from hashbench.runner.steps import BaseModel, DefendedModel
from hashbench.runner.suite import Suite
from hashbench.runner.suite_tables import Compute
from hashbench.runner.train import is_trained, missing_models, model_steps, train_models

TINY = Path(__file__).resolve().parents[1] / "plugins" / "tiny_data.py"

FAULT = '''
import os
from dataclasses import dataclass
from hashbench.plugins import loss
from hashbench.hashing.losses.csq import CSQ


@loss("faulty")
@dataclass(frozen=True)
class Faulty(CSQ):
    """Fails in one process."""

    def bind(self, setup):
        if os.environ.get("RANK") == os.environ["FAULTY_RANK"]:
            if os.environ.get("FAULT") == "kill":
                os.kill(os.getpid(), 9)
            raise RuntimeError("the fault of the test")
        return super().bind(setup)
'''


def command(*words: str, processes: int = 0, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command of hashbench, started by torchrun where it has several processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    start = [*launcher, "-m"] if processes else ["-m"]
    outer = {key: value for key, value in os.environ.items() if key not in ("RANK", "WORLD_SIZE")}
    return subprocess.run(
        [sys.executable, "-P", *start, "hashbench", *words],
        env={**outer, "OMP_NUM_THREADS": "1", **variables},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def options(out: Path, *more: str) -> list[str]:
    network = ["--backbone", "small-cnn:width=4,hidden=16", "--bits", "8", "--eps", "24/255"]
    data = ["--plugin", str(TINY), "--dataset", "tiny"]
    return [*data, *network, "--defense", "cgat", "--attack", "noise", "--out", str(out), *more]


def said(ended: subprocess.CompletedProcess[str]) -> list[str]:
    """The lines that hashbench wrote of errors, without what torchrun adds."""
    return [line for line in ended.stderr.splitlines() if line.startswith(("Error:", "Ended"))]


@pytest.mark.slow
def test_two_processes_train_what_a_run_then_finds(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for out in (first, second):
        ended = command("train", *options(out), processes=2)
        assert ended.returncode == 0, ended.stderr
        assert "2 models trained. 'hashbench run'" in ended.stderr
        assert ended.stderr.count("models trained") == 1  # the first process alone tells
    weights = [
        {path.relative_to(out): path.read_bytes() for path in out.rglob("*.safetensors")}
        for out in (first, second)
    ]
    assert len(weights[0]) == 2
    assert weights[0] == weights[1]
    again = command("train", *options(first), processes=2)
    assert "0 models trained, 2 were there already" in again.stderr
    run = command("run", *options(first, "--processes", "2"))
    assert run.returncode == 0, run.stderr
    assert "train tiny" not in run.stderr
    assert "2 of 2 cells done" in run.stderr
    report = command("report", str(first), "--format", "csv")
    assert report.stdout.count("cgat") >= 2


@pytest.mark.parametrize(("launched", "shut_down"), [("2", False), ("1", True), ("", True)])
def test_one_of_several_processes_ends_without_python_shutting_down(
    launched: str, shut_down: bool
) -> None:
    # Threads of a group that something still holds abort a process while Python shuts down.
    script = (
        "import atexit, torch.distributed\n"
        "from hashbench.cli.ended import leave\n"
        "atexit.register(print, 'shut down')\n"
        "print('said', end=' ')\n"
        "leave(3)\n"
    )
    outer = {key: value for key, value in os.environ.items() if key != "WORLD_SIZE"}
    ended = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env={**outer, "WORLD_SIZE": launched} if launched else outer,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 3, ended.stderr
    assert ended.stdout == ("said shut down\n" if shut_down else "said ")


@pytest.mark.slow
@pytest.mark.parametrize("rank", ["0", "1"])
def test_an_error_in_one_process_is_said_once_and_ends_all(tmp_path: Path, rank: str) -> None:
    plugin = tmp_path / "faulty.py"
    plugin.write_text(FAULT)
    out = tmp_path / "out"
    more = options(out, "--loss", "faulty", "--plugin", str(plugin))
    # What is tried before a run is tried by the first process, which says the same then.
    ended = command("train", *more, processes=2, FAULTY_RANK=rank)
    assert ended.returncode == 1
    (line,) = [one for one in said(ended) if one.startswith("Error:")]
    assert "the fault of the test" in line
    assert not list(out.rglob("weights.safetensors"))


@pytest.mark.slow
def test_a_process_that_is_killed_ends_all(tmp_path: Path) -> None:
    plugin = tmp_path / "faulty.py"
    plugin.write_text(FAULT)
    more = options(tmp_path / "out", "--loss", "faulty", "--plugin", str(plugin))
    ended = command("train", *more, processes=2, FAULTY_RANK="1", FAULT="kill")
    assert ended.returncode == 1
    assert not list((tmp_path / "out").rglob("weights.safetensors"))


@pytest.mark.slow
def test_wrong_numbers_of_processes_are_said_in_a_sentence(tmp_path: Path) -> None:
    ended = command("train", *options(tmp_path, "--processes", "3"), processes=2)
    (line,) = said(ended)
    assert line.startswith("Error: --processes is 3, but 2 processes are at work: start 'torchrun ")
    alone = command("train", *options(tmp_path, "--processes", "3"))
    assert alone.returncode == 2
    assert "--processes is 3, but 1 process is at work" in alone.stderr
    part = command("train", *options(tmp_path), WORLD_SIZE="2", MASTER_ADDR="", MASTER_PORT="1")
    assert part.returncode == 2
    assert "but not RANK, MASTER_ADDR:" in part.stderr


WHOLE = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "here", "MASTER_PORT": "1"}


@pytest.mark.parametrize("word", ["train", "run"])
def test_a_folder_that_no_run_could_read_is_refused_before_any_work(
    tmp_path: Path, word: str
) -> None:
    done = command(word, "quick", "--out", os.fsdecode(os.fsencode(tmp_path) + b"/out\xff"))
    assert done.returncode == 2
    assert "no name in UTF-8" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_what_torchrun_says_is_read() -> None:
    assert Launch.of({}) is None
    assert Launch.of({"WORLD_SIZE": "1", "RANK": "0"}) is None
    assert Launch.of({**WHOLE, "LOCAL_RANK": "0"}) == Launch(1, 2, 0)
    assert Launch.of(WHOLE) == Launch(1, 2, 1)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE is set, .* but not RANK, MASTER_ADDR, MASTER_PORT"),
        ({**WHOLE, "MASTER_ADDR": ""}, "but not MASTER_ADDR: start them with 'torchrun"),
        ({"RANK": "0"}, "RANK is set, .* or unset RANK for one process"),
        ({**WHOLE, "RANK": "2"}, "RANK is 2 and WORLD_SIZE 2: ranks count from 0"),
        ({**WHOLE, "RANK": "-1"}, "RANK is '-1', expected a whole number"),
        ({**WHOLE, "WORLD_SIZE": "two"}, "WORLD_SIZE is 'two', expected a whole number"),
    ],
)
def test_a_part_of_it_is_refused(variables: Mapping[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Launch.of(variables)


def test_one_process_trains_the_models_and_no_more(
    tiny_suite: Callable[..., Suite], tmp_path: Path
) -> None:
    plan = make_plan(tiny_suite(defense=["none", "cgat"]))
    trained = train_models(plan, out=tmp_path, reporter=Reporter())
    assert (trained.made, trained.there, trained.failed) == (2, 0, ())
    assert missing_models(plan, _store(tmp_path)) == []
    done = {step.key for step in plan.steps if _store(tmp_path).has(step.address)}
    assert done == {step.key for step in model_steps(plan)}
    results = run_plan(plan, out=tmp_path, reporter=Reporter())
    assert not results.failed
    again = train_models(plan, out=tmp_path, reporter=Reporter())
    assert (again.made, again.there) == (0, 2)


def test_why_a_model_failed_is_told_though_it_cannot_be_noted(
    tiny_suite: Callable[..., Suite], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("the fault of the test")

    def full(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("hashbench.runner.engines.this_process.execute", broken)
    monkeypatch.setattr(Store, "fail", full)
    plan = make_plan(tiny_suite(defense="cgat"))
    trained = train_models(plan, out=tmp_path, reporter=Reporter())
    (base, first), (defended, second) = trained.failed
    assert isinstance(base, BaseModel)
    assert "the fault of the test" in first
    assert isinstance(defended, DefendedModel)
    assert second == "what it is made from failed"
    assert trained.made == 0


def test_the_number_of_processes_is_part_of_a_model_and_of_nothing_older(
    tiny_suite: Callable[..., Suite],
) -> None:
    def models(**compute: Any) -> list[BaseModel]:
        plan = make_plan(tiny_suite(compute=compute))
        return [step for step in plan.steps if isinstance(step, BaseModel)]

    (usual,), (one,), (two,), (three,) = (
        models(),
        models(processes=1),
        models(processes=2),
        models(processes=3),
    )
    assert usual.key == one.key
    assert len({one.key, two.key, three.key}) == 3
    assert "processes" not in one.setting.described()
    assert two.setting.described()["processes"] == 2
    assert "processes" not in two.setting.described(bare=True)  # its weights say it all
    assert "processes" not in Compute().recorded()
    assert is_trained(two)


def test_a_run_says_what_trains_models_of_several_processes(
    tiny_suite: Callable[..., Suite], tmp_path: Path
) -> None:
    plan = make_plan(tiny_suite(compute={"processes": 2}))
    with pytest.raises(UsageError, match=r"1 model of suite tiny that 2 processes train together"):
        run_plan(plan, out=tmp_path, reporter=Reporter())
    with pytest.raises(UsageError, match=r"is for 2 processes .* but 1 process at work"):
        train_models(plan, out=tmp_path, reporter=Reporter(), processes=ALONE)


def test_no_number_of_processes_below_one(tiny_suite: Callable[..., Suite]) -> None:
    with pytest.raises(UsageError, match=r"compute\.processes is 0, but must be 1 or more"):
        tiny_suite(compute={"processes": 0})


def _store(folder: Path) -> Any:
    return Store(folder)
