"""The engine with worker processes: told in lines of JSON, and robust against whatever they do.

The workers here are small scripts that speak the protocol, or break it, instead of computing.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from typing_extensions import override

from hashbench.errors import NoRoomError
from hashbench.results.store import Store
from hashbench.runner.engines import worker
from hashbench.runner.engines.child import GPU_LOST
from hashbench.runner.engines.local import run_in_processes
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.plan import Plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import Step
from hashbench.runner.suite import from_plain, quick

MakeStep = Callable[..., Step]

WORKER = """#!{python}
import json, os, signal, sys
folder = sys.argv[-1]
behaviour = json.load(open(os.path.join(folder, "behaviour.json")))
suite = json.loads(sys.stdin.readline())
open(os.path.join(folder, "suites.jsonl"), "a").write(
    json.dumps([suite, sys.argv[1:-1], os.environ["OMP_NUM_THREADS"], os.getpid()]) + "\\n"
)
def say(text):
    sys.stdout.write(text)
    sys.stdout.flush()
say(json.dumps({{"event": "ready"}}) + "\\n")
for line in sys.stdin:
    key = line.strip()
    do = behaviour.get(key, "done")
    if do.startswith("once "):
        before = os.path.join(folder, "order.txt")
        tried = os.path.exists(before) and key in open(before).read()
        do = "done" if tried else do.removeprefix("once ")
    with open(os.path.join(folder, "order.txt"), "a") as order:
        order.write(key + "\\n")
    if do == "done":
        say(json.dumps({{"event": "advanced", "done": 1, "total": 2}}) + "\\n")
        say(json.dumps({{"event": "done"}}) + "\\n")
    elif do == "fail":
        reason = {{"reason": "it broke", "traceback": "Traceback ..."}}
        say(json.dumps({{"event": "failed", **reason}}) + "\\n")
    elif do == "exit":
        sys.exit(7)
    elif do == "stop":
        os.kill(os.getpid(), signal.SIGSTOP)
    elif do == "no room":
        say(json.dumps({{"event": "no room", "reason": "x: no room"}}) + "\\n")
    elif do == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif do == "half a line":
        say('{{"event": "failed", "reason": "' + key)
        os.kill(os.getpid(), signal.SIGKILL)
"""


class Team:
    """A folder with a fake worker, and what it wrote down."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = sys.executable
        script = folder / "worker"
        script.write_text(WORKER.format(python=sys.executable))
        script.chmod(0o755)
        self.script = str(script)

    def run(self, steps: list[Step], workers: int, **behaviour: str) -> Schedule:
        """Run steps whose labels behave as told; the others succeed."""
        by_label = {step.label: step.key for step in steps}
        told = {by_label[label]: do for label, do in behaviour.items()}
        (self.folder / "behaviour.json").write_text(json.dumps(told))
        plan = Plan(quick(), (), tuple(steps), {}, {})
        schedule = Schedule(steps, ())
        run_in_processes(plan, schedule, Store(self.folder), Reporter(), workers)
        return schedule

    def order(self) -> list[str]:
        return (self.folder / "order.txt").read_text().split()

    def started(self) -> list[Any]:
        return [json.loads(line) for line in (self.folder / "suites.jsonl").open()]


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    made = Team(tmp_path)
    monkeypatch.setattr(sys, "executable", made.script)
    return made


@pytest.fixture
def grid(make_step: MakeStep) -> list[Step]:
    """Two models, each with codes and two attacks."""
    steps = []
    for model in "ab":
        base = make_step(f"model_{model}")
        codes = make_step(f"codes_{model}", base)
        steps += [base, codes, *(make_step(f"attack_{model}{n}", base, codes) for n in (1, 2))]
    return steps


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_every_step_is_done_once_and_after_what_it_reads_from(
    team: Team, grid: list[Step], workers: int
) -> None:
    schedule = team.run(grid, workers)
    assert schedule.finished
    assert schedule.done == {step.key for step in grid}
    order = team.order()
    assert sorted(order) == sorted(schedule.done)
    for step in grid:
        for before in step.upstream:
            assert order.index(before.key) < order.index(step.key)
    assert len(team.started()) <= workers


def test_workers_are_told_the_suite_and_their_threads(team: Team, grid: list[Step]) -> None:
    team.run(grid[:1], 1)
    ((suite, arguments, threads, _),) = team.started()
    assert from_plain(suite, "here") == quick()
    assert threads == str(quick().compute.threads)
    # -P: the folder that a run is started from must not shadow the installed package.
    assert arguments == ["-P", "-m", "hashbench.runner.engines.worker"]


def test_a_failed_step_drops_what_needs_it(team: Team, grid: list[Step]) -> None:
    schedule = team.run(grid, 2, codes_a="fail")
    assert schedule.finished
    failed = {step.label for step in grid if step.key in schedule.failed}
    assert failed == {"codes_a", "attack_a1", "attack_a2"}
    assert set(schedule.failed.values()) == {"it broke"}
    noted = Store(team.folder).failure(grid[1].address)
    assert noted is not None
    assert (noted.reason, noted.traceback) == ("it broke", "Traceback ...")
    assert len(schedule.done) == 5


@pytest.mark.parametrize(
    ("death", "reason"),
    [
        ("exit", "exit code 7"),
        ("kill", "signal 9: out of memory?"),
        ("half a line", "signal 9: out of memory?"),
    ],
)
@pytest.mark.timeout(60)
def test_a_step_that_kills_every_worker_fails_and_others_take_their_place(
    team: Team, grid: list[Step], death: str, reason: str
) -> None:
    schedule = team.run(grid, 2, model_a=death, attack_b1=death)
    assert schedule.finished
    failed = {step.label for step in grid if step.key in schedule.failed}
    assert failed == {"model_a", "codes_a", "attack_a1", "attack_a2", "attack_b1"}
    assert set(schedule.failed.values()) == {
        f"its process ended unexpectedly, in each of 3 tries ({reason})"
    }
    assert team.order().count(grid[0].key) == 3
    assert {step.label for step in grid if step.key in schedule.done} == {
        "model_b",
        "codes_b",
        "attack_b2",
    }


@pytest.mark.timeout(60)
def test_workers_that_cannot_even_start_fail_their_steps(
    team: Team, grid: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    schedule = team.run(grid, 2)
    assert schedule.finished
    assert not schedule.done
    assert set(schedule.failed.values()) == {"no process could be started for it (exit code 1)"}


@pytest.mark.parametrize("death", ["exit", "kill", "half a line", "stop"])
@pytest.mark.timeout(120)
def test_the_step_of_a_lost_worker_is_made_by_another(
    team: Team, grid: list[Step], death: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed, gone by itself, or stopped, which nobody but the system knows."""
    monkeypatch.setattr("hashbench.runner.engines.team._SECONDS_BETWEEN_LOOKS", 0.05)
    schedule = team.run(grid, 2, model_a=f"once {death}", attack_b1=f"once {death}")
    assert schedule.done == {step.key for step in grid}
    for label in ("model_a", "attack_b1"):
        key = next(step.key for step in grid if step.label == label)
        assert team.order().count(key) == 2
    for *_, pid in team.started():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


@pytest.mark.timeout(120)
def test_a_worker_that_is_stopped_for_a_moment_goes_on(
    team: Team, grid: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashbench.runner.engines.team._SECONDS_BETWEEN_LOOKS", 0.05)
    monkeypatch.setattr("hashbench.runner.engines.child.STOPPED_LOOKS", 10**6)
    (team.folder / "behaviour.json").write_text(json.dumps({grid[0].key: "stop and go"}))
    hand_made = WORKER.replace('do == "stop"', 'do == "never"').replace(
        '    elif do == "kill":',
        '    elif do == "stop and go":\n'
        "        import subprocess\n"
        "        me = os.getpid()\n"
        '        subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -CONT {{me}}"])\n'
        "        os.kill(me, signal.SIGSTOP)\n"
        '        say(json.dumps({{"event": "done"}}) + "\\n")\n'
        '    elif do == "kill":',
    )
    Path(team.script).write_text(hand_made.format(python=team.python))
    schedule = Schedule(grid, ())
    plan = Plan(quick(), (), tuple(grid), {}, {})
    run_in_processes(plan, schedule, Store(team.folder), Reporter(), 2)
    assert schedule.done == {step.key for step in grid}
    assert team.order().count(grid[0].key) == 1


@pytest.mark.timeout(60)
def test_a_full_disk_ends_the_run_and_its_processes(team: Team, grid: list[Step]) -> None:
    with pytest.raises(NoRoomError, match="x: no room"):
        team.run(grid, 2, codes_a="no room")
    for *_, pid in team.started():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_no_process_outlives_the_run(team: Team, grid: list[Step]) -> None:
    team.run(grid, 3, codes_b="fail", attack_a1="exit")
    for *_, pid in team.started():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_an_interrupted_run_takes_its_processes_with_it(team: Team, grid: list[Step]) -> None:
    class Impatient(Reporter):
        @override
        def finished(self, step: Step, seconds: float) -> None:
            raise KeyboardInterrupt

    (team.folder / "behaviour.json").write_text("{}")
    plan = Plan(quick(), (), tuple(grid), {}, {})
    with pytest.raises(KeyboardInterrupt):
        run_in_processes(plan, Schedule(grid, ()), Store(team.folder), Impatient(), 2)
    for *_, pid in team.started():
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_worker_whose_gpu_answers_no_more_says_so_by_its_exit_code(
    team: Team, grid: list[Step], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error there ends all that a process can do with it: the step is tried by another."""
    script = Path(team.script)
    script.write_text(script.read_text().replace("sys.exit(7)", f"sys.exit({GPU_LOST})"))
    schedule = team.run(grid, 2, model_a="exit", attack_b1="once exit")
    assert len(schedule.done) == 4
    reason = "its GPU answered no more, which a new process may mend"
    assert set(schedule.failed.values()) == {
        f"its process ended unexpectedly, in each of 3 tries ({reason})"
    }

    def fails() -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    assert not worker.gpu_is_lost()  # none was used
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    assert not worker.gpu_is_lost()  # out of memory, say: it can go on
    monkeypatch.setattr(torch.cuda, "synchronize", fails)
    assert worker.gpu_is_lost()
