"""Workers spread over GPUs: each sees one, as its only one; what cannot be is said at the start."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hashbench.errors import UsageError
from hashbench.results.store import Store
from hashbench.runner.engines.cards import VISIBLE, cards_of
from hashbench.runner.engines.contract import Resources
from hashbench.runner.engines.local import LocalEngine
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.plan import Plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import Step
from hashbench.runner.suite import Suite, quick

MakeStep = Callable[..., Step]

WORKER = """#!{python}
import json, os, sys, time
folder = sys.argv[-1]
sys.stdin.readline()
print(json.dumps({{"event": "ready"}}), flush=True)
for line in sys.stdin:
    with open(os.path.join(folder, "seen.txt"), "a") as seen:
        seen.write(str(os.environ.get("CUDA_VISIBLE_DEVICES")) + " " + str(os.getpid()) + "\\n")
    time.sleep(0.3)  # so that every worker gets a step
    print(json.dumps({{"event": "done"}}), flush=True)
"""


@pytest.fixture
def three_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.delenv(VISIBLE, raising=False)


def on_cuda() -> Suite:
    return replace(quick(), compute=replace(quick().compute, device="cuda"))


@pytest.mark.parametrize(
    ("devices", "workers", "fault"),
    [
        ((3,), 1, "devices names GPU 3, which is not here: there is 0 to 2"),
        ((0, 7, 9), 3, "devices names GPU 7 and 9, which is not here"),
        ((0, 1, 2), 2, "devices names 3 GPUs for 2 workers, .*: add --workers 3, or name fewer"),
        ((0, 1), 1, "devices names 2 GPUs for 1 worker, "),
    ],
)
@pytest.mark.usefixtures("three_cards")
def test_a_gpu_that_cannot_be_worked_on_is_said(
    devices: tuple[int, ...], workers: int, fault: str
) -> None:
    with pytest.raises(UsageError, match=fault):
        LocalEngine().check(on_cuda(), Resources(workers, devices))


@pytest.mark.usefixtures("three_cards")
def test_gpus_of_a_run_on_the_cpu_are_refused() -> None:
    with pytest.raises(UsageError, match=r"computes on the CPU: add --device cuda"):
        LocalEngine().check(quick(), Resources(2, (0, 1)))
    LocalEngine().check(quick(), Resources(2))
    LocalEngine().check(on_cuda(), Resources(3, (2, 0)))


def test_where_there_is_none_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setenv(VISIBLE, "")
    with pytest.raises(UsageError, match=r"there is none \(CUDA_VISIBLE_DEVICES is ''"):
        LocalEngine().check(on_cuda(), Resources(1, (0,)))


def test_numbers_count_within_what_we_were_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VISIBLE, raising=False)
    assert cards_of((2, 0)) == ("2", "0")
    monkeypatch.setenv(VISIBLE, "5, 3,GPU-8f2a")
    assert cards_of((2, 0)) == ("GPU-8f2a", "5")


@pytest.mark.parametrize(
    ("workers", "devices", "outer"),
    [(1, (1,), None), (2, (0, 2), None), (4, (0, 1), "4,6,7"), (3, (0,), None)],
)
def test_every_worker_sees_one_gpu_and_they_are_taken_in_turn(
    workers: int,
    devices: tuple[int, ...],
    outer: str | None,
    make_step: MakeStep,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    script = tmp_path / "worker"
    script.write_text(WORKER.format(python=sys.executable))
    script.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.delenv(VISIBLE, raising=False)
    if outer is not None:
        monkeypatch.setenv(VISIBLE, outer)
    steps = [make_step(f"step_{number}") for number in range(12)]
    schedule = Schedule(steps, ())
    plan = Plan(on_cuda(), (), tuple(steps), {}, {})
    resources = Resources(workers, devices)
    LocalEngine().make(plan, schedule, Store(tmp_path), Reporter(), resources)
    assert len(schedule.done) == 12
    seen = {tuple(line.split()) for line in (tmp_path / "seen.txt").read_text().splitlines()}
    # This process makes no step: it would see all GPUs.
    assert str(os.getpid()) not in {process for _, process in seen}
    expected = cards_of(devices)
    turns = Counter(expected[place % len(expected)] for place in range(workers))
    assert Counter(card for card, _ in seen) == turns
