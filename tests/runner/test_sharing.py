"""Several runs in one folder: each step is made once, whoever makes it, whoever is killed."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typing_extensions import override

from hashbench.errors import NoRoomError, StoreError, WriteError
from hashbench.results.claim_files import Claim, ClaimFiles
from hashbench.results.claims import Claims
from hashbench.results.holders import Holder, this_process
from hashbench.results.load import load_results
from hashbench.results.store import Failure, Store
from hashbench.results.sums import SCHEMA, sealed
from hashbench.runner.engines.local import run_here
from hashbench.runner.engines.shared import SharedSchedule
from hashbench.runner.plan import Plan, make_plan
from hashbench.runner.remaining import Forecast
from hashbench.runner.reporter import Reporter
from hashbench.runner.run import run_plan
from hashbench.runner.steps import Step
from hashbench.runner.suite import Suite

TinySuite = Callable[..., Suite]
MakeStep = Callable[..., Step]

ELSEWHERE = Holder("far", "another start, pid:[1]", 1, "1")


class Diary(Reporter):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    @override
    def started(self, step: Step) -> None:
        self.lines.append(f"started {step.label}")

    @override
    def finished(self, step: Step, seconds: float) -> None:
        self.lines.append(f"finished {step.label}")

    @override
    def elsewhere(self, step: Step) -> None:
        self.lines.append(f"elsewhere {step.label}")

    @override
    def failed(self, step: Step, reason: str, dropped: int) -> None:
        self.lines.append(f"failed {step.label}: {reason}")

    @override
    def note(self, text: str) -> None:
        self.lines.append(text)


class Clock:
    """Passes a second at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 2.0
        return self.now


@pytest.fixture
def claims(tmp_path: Path) -> Iterator[Callable[[], Claims]]:
    """Makes the claims of one more run of the folder."""
    with contextlib.ExitStack() as stack:

        def make() -> Claims:
            return stack.enter_context(contextlib.closing(Claims(tmp_path)))

        yield make


def shared(
    steps: list[Step], claims: Claims, there: set[str], diary: Diary | None = None
) -> SharedSchedule:
    return SharedSchedule(
        steps,
        (),
        claims=claims,
        is_there=lambda step: step.label in there,
        reporter=diary or Diary(),
        clock=Clock(),
    )


def test_a_step_is_given_to_one_run_and_waits_in_the_others(
    make_step: MakeStep, claims: Callable[[], Claims]
) -> None:
    a, b = make_step("a"), make_step("b")
    there: set[str] = set()
    diary = Diary()
    one, two = shared([a, b], claims(), there), shared([a, b], claims(), there, diary)
    assert one.next() is a
    assert two.next() is b
    assert two.next() is None
    assert two.elsewhere == 1
    assert not two.finished
    there.add("b")
    two.succeed(b)
    assert two.next() is None
    assert diary.lines == ["waiting for 1 step that another run is making (a)"]
    there.add("a")
    one.succeed(a)
    assert one.next() is None
    assert one.finished
    assert two.next() is None
    assert two.finished
    assert diary.lines[1:] == ["elsewhere a"]
    assert two.done == {a.key, b.key}


def test_what_another_run_made_frees_what_needs_it(
    make_step: MakeStep, claims: Callable[[], Claims]
) -> None:
    base = make_step("base")
    above = make_step("above", base)
    there: set[str] = set()
    one, two = shared([base, above], claims(), there), shared([base, above], claims(), there)
    assert one.next() is base
    assert two.next() is None
    there.add("base")
    one.succeed(base)
    assert two.next() is above
    assert one.next() is None


def test_what_another_run_could_not_make_is_tried_here_once(
    make_step: MakeStep, claims: Callable[[], Claims]
) -> None:
    """It may have failed for what that machine lacks."""
    base = make_step("base")
    above = make_step("above", base)
    one, two = shared([base, above], claims(), set()), shared([base, above], claims(), set())
    assert one.next() is base
    assert two.next() is None
    assert one.fail(base, "no GPU") == [above]
    assert one.finished
    assert two.next() is base
    two.put_back(base)
    assert two.next() is base
    assert two.fail(base, "no GPU") == [above]
    assert two.finished


def test_a_step_that_is_put_back_may_be_made_by_others(
    make_step: MakeStep, claims: Callable[[], Claims]
) -> None:
    a = make_step("a")
    one, two = shared([a], claims(), set()), shared([a], claims(), set())
    assert one.next() is a
    one.put_back(a)
    assert two.next() is a
    assert one.next() is None
    assert not one.finished


def test_only_what_others_hold_is_looked_at_again(
    make_step: MakeStep, claims: Callable[[], Claims]
) -> None:
    """A run of thousands of steps looks at the claims of each once, and then of a few."""
    steps = [make_step(str(number)) for number in range(300)]
    others = claims()
    held = steps[:3]
    for step in held:
        assert others.take(step.key, "")
    mine = claims()
    looks: list[str] = []
    free = mine.is_free

    def counted(key: str) -> bool:
        looks.append(key)
        return free(key)

    mine.is_free = counted  # type: ignore[method-assign]
    schedule = shared(steps, mine, set())
    while (given := schedule.next()) is not None:
        schedule.succeed(given)
    assert schedule.elsewhere == 3
    assert set(looks) == {step.key for step in held}
    for step in held:
        others.release(step.key)
    while (given := schedule.next()) is not None:
        assert given in held
        schedule.succeed(given)
    assert schedule.finished


def test_a_full_disk_ends_a_run_before_it_makes_what_it_cannot_keep(
    make_step: MakeStep, claims: Callable[[], Claims], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(number: int) -> Callable[[ClaimFiles, Claim], bool]:
        def make(_: ClaimFiles, claim: Claim) -> bool:
            raise WriteError(Path("claims") / claim.name, OSError(number, os.strerror(number)))

        return make

    schedule = shared([make_step("a")], claims(), set())
    monkeypatch.setattr(ClaimFiles, "make", full(errno.ENOSPC))
    with pytest.raises(NoRoomError, match=r"No space left on device.*so the run has ended"):
        schedule.next()
    schedule = shared([make_step("a")], claims(), set())
    monkeypatch.setattr(ClaimFiles, "make", full(errno.EIO))
    with pytest.raises(WriteError, match="Input/output error"):
        schedule.next()


def test_here_a_run_waits_for_another_and_ends_with_it(
    make_step: MakeStep, claims: Callable[[], Claims], tmp_path: Path
) -> None:
    a = make_step("a")
    other = claims()
    assert other.take(a.key, "a")
    there: set[str] = set()
    diary = Diary()
    schedule = SharedSchedule(
        [a],
        (),
        claims=claims(),
        is_there=lambda step: step.label in there,
        reporter=diary,
    )

    def make() -> None:
        there.add("a")
        other.release(a.key)

    timer = threading.Timer(0.3, make)
    timer.start()
    run_here(schedule, Store(tmp_path), diary)
    timer.join()
    assert diary.lines == [
        "waiting for 1 step that another run is making (a)",
        "elsewhere a",
    ]


def test_a_forecast_counts_what_others_made_as_done(make_step: MakeStep) -> None:
    a, b = make_step("a"), make_step("b")
    seconds = {a.key: 10.0, b.key: 5.0}
    now = Clock()
    forecast = Forecast([a, b], seconds, 1, clock=lambda: now.now)
    assert forecast.left() == 15.0
    forecast.elsewhere(a)
    assert forecast.left() == 5.0
    forecast.elsewhere(b)
    assert forecast.left() == 0.0


@pytest.fixture
def plan(tiny_suite: TinySuite) -> Plan:
    return make_plan(tiny_suite(attack=["noise", "hag:steps=1"]))


def marks(store: Path) -> dict[str, tuple[int, int]]:
    """Inode and time of every marker: a second making shows in either."""
    return {
        str(path): (path.stat().st_ino, path.stat().st_mtime_ns)
        for path in store.glob("artifacts/*/*/done.json")
    }


class Beside(Diary):
    """Does something once a run has begun, and again when it has made its first step."""

    def __init__(
        self, begun: Callable[[], object] = lambda: None, later: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__()
        self._begun, self._later = begun, later

    @override
    def begin(self, steps: int, stored: int) -> None:
        self._begun()

    @override
    def finished(self, step: Step, seconds: float) -> None:
        super().finished(step, seconds)
        later, self._later = self._later, lambda: None
        later()


def test_a_run_that_joins_later_makes_the_rest(plan: Plan, tmp_path: Path) -> None:
    other = Diary()
    whole: dict[str, tuple[int, int]] = {}

    def join() -> None:
        assert not run_plan(plan, out=tmp_path, reporter=other).failed
        whole.update(marks(tmp_path))

    first = Beside(later=join)
    results = run_plan(plan, out=tmp_path, reporter=first)
    steps = len({step.key for step in plan.steps})
    made = [line for line in (*first.lines, *other.lines) if line.startswith("finished")]
    assert len(made) == len(set(made)) == steps
    assert marks(tmp_path) == whole
    assert results.to_frame().equals(load_results(tmp_path).to_frame())
    assert not results.failed


def test_what_a_killed_run_of_this_machine_held_is_made_at_once(plan: Plan, tmp_path: Path) -> None:
    dead = Claims(tmp_path, holder=replace(this_process(), began="1"))
    for step in plan.steps:
        assert dead.take(step.key, step.label)
    diary = Diary()
    assert not run_plan(plan, out=tmp_path, reporter=diary).failed
    assert not [line for line in diary.lines if "waiting" in line or "another run" in line]
    dead.close()
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "artifacts", "plans"}


def test_what_one_of_another_machine_held_is_made_when_its_lease_is_over(
    plan: Plan, tmp_path: Path
) -> None:
    far = Claims(tmp_path, holder=ELSEWHERE, lease=1.5)
    far._beat = lambda: None  # type: ignore[method-assign]
    first = plan.steps[0]
    assert far.take(first.key, first.label)
    diary = Diary()
    assert not run_plan(plan, out=tmp_path, reporter=diary).failed
    assert diary.lines[0] == (
        f"folder {tmp_path}: another run is at work there (on far); the steps are shared"
    )
    assert diary.lines[1] == f"waiting for 1 step that another run is making ({first.label})"
    assert f"finished {first.label}" in diary.lines


def test_a_neighbour_sweeps_nothing_that_is_being_written(plan: Plan, tmp_path: Path) -> None:
    half = tmp_path / "artifacts" / "model" / ".train-x.0a1b2c3d.tmp"
    seen: list[bool] = []

    def join() -> None:
        half.mkdir(parents=True)
        assert not run_plan(plan, out=tmp_path, reporter=Diary()).failed
        seen.append(half.exists())

    run_plan(plan, out=tmp_path, reporter=Beside(begun=join))
    assert seen == [True]
    assert not half.exists()  # the last one to leave tidies up


def test_a_failure_that_a_neighbour_noted_stays_until_it_is_tried(
    plan: Plan, tmp_path: Path
) -> None:
    """A run that joins forgets none of them; one that begins alone forgets those of before."""
    store, noted = Store(tmp_path), plan.cells[-1].scores
    store.fail(noted.address, Failure("of a run before"))
    seen: list[Failure | None] = []

    def joined() -> None:
        seen.append(store.noted_failure(noted.address))

    def join() -> None:
        seen.append(store.noted_failure(noted.address))
        store.fail(noted.address, Failure("of the neighbour"))
        run_plan(plan, out=tmp_path, reporter=Beside(begun=joined))

    assert not run_plan(plan, out=tmp_path, reporter=Beside(begun=join)).failed
    assert seen == [None, Failure("of the neighbour")]
    assert store.noted_failure(noted.address) is None


def test_plans_that_are_written_side_by_side_have_numbers_of_their_own(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    plans = [make_plan(tiny_suite(seed=seed, attack="noise")) for seed in range(3)]

    def nested(rest: list[Plan]) -> None:
        if rest:
            run_plan(rest[0], out=tmp_path, reporter=Beside(begun=lambda: nested(rest[1:])))

    nested(plans)
    store = Store(tmp_path)
    assert sorted(store.plan(name)["number"] for name in store.plan_names()) == [1, 2, 3]
    assert not load_results(tmp_path).failed


def test_a_folder_of_a_newer_version_is_refused_before_anything_is_made(
    plan: Plan, tmp_path: Path
) -> None:
    (tmp_path / "plans").mkdir()
    newer = tmp_path / "plans" / "x.json"
    newer.write_text(json.dumps(sealed({"schema": SCHEMA + 1, "number": 1, "cells": []})))
    diary = Diary()
    with pytest.raises(StoreError) as raised:
        run_plan(plan, out=tmp_path, reporter=diary)
    assert str(raised.value) == (
        f"{newer}: written in format {SCHEMA + 1}, this hashbench reads up to {SCHEMA}, and would "
        "make again what it cannot read: update it, or name another folder with --out"
    )
    assert diary.lines == []
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "plans"]


@pytest.mark.parametrize("files", [{"x": b"1"}, {"x": b"2"}])
def test_two_writers_of_one_artifact_leave_one_whole_artifact(
    make_step: MakeStep, tmp_path: Path, files: dict[str, bytes]
) -> None:
    """A run that was suspended, and the one that took over: the same files stay as they are."""
    store, address = Store(tmp_path), make_step("a").address
    store.write(address, {"x": b"1"}, {})
    before = marks(tmp_path)
    store.write(address, files, {})
    assert (marks(tmp_path) == before) == (files["x"] == b"1")
    artifact = store.artifact(address)
    assert artifact is not None
    assert artifact.read("x") == files["x"]


def test_an_artifact_that_comes_to_its_place_in_the_last_moment(
    make_step: MakeStep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, address = Store(tmp_path), make_step("a").address
    real = Path.rename

    def rename(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", real)
        Store(tmp_path).write(address, {"x": b"1"}, {})
        return real(path, target)

    monkeypatch.setattr(Path, "rename", rename)
    store.write(address, {"x": b"1"}, {})
    assert store.has(address)
    assert not list(tmp_path.rglob("*.tmp"))
