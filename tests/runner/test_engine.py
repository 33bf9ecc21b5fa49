"""The engine in this process: a step that fails is noted with its reason, and the rest goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from hashbench.errors import (
    NO_ROOM,
    NoRoomError,
    PluginError,
    StoreError,
    TrainingError,
    UsageError,
    WriteError,
)
from hashbench.results.store import Failure, Store
from hashbench.runner.engines import this_process
from hashbench.runner.engines.local import run_here
from hashbench.runner.engines.schedule import Schedule
from hashbench.runner.engines.this_process import attempt
from hashbench.runner.reporter import Reporter
from hashbench.runner.steps import Step

MakeStep = Callable[..., Step]
Execute = Callable[[Step, Store, Callable[[int, int], None]], None]


class Diary(Reporter):
    """Keeps what it hears, in words."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def started(self, step: Step) -> None:
        self.heard.append(f"started {step.label}")

    def advanced(self, step: Step, done: int, total: int) -> None:
        self.heard.append(f"{step.label} {done}/{total}")

    def finished(self, step: Step, seconds: float) -> None:
        assert seconds >= 0
        self.heard.append(f"finished {step.label}")

    def failed(self, step: Step, reason: str, dropped: int) -> None:
        self.heard.append(f"failed {step.label}: {reason} ({dropped} dropped)")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets the steps of these labels raise, and the others write one file: (**label=error)."""

    def use(**errors: BaseException) -> None:
        def execute(step: Step, store: Store, progress: Callable[[int, int], None]) -> None:
            progress(1, 2)
            if step.label in errors:
                raise errors[step.label]
            for before in step.upstream:
                assert store.has(before.address)
            store.write(step.address, {"label.txt": step.label.encode()}, {})

        monkeypatch.setattr(this_process, "execute", execute)

    return use


@pytest.fixture
def diamond(make_step: MakeStep) -> list[Step]:
    """top; left and right from top; bottom from both; and alone, which needs nothing."""
    top = make_step("top")
    left, right = make_step("left", top), make_step("right", top)
    return [top, left, right, make_step("bottom", left, right), make_step("alone")]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TrainingError("the loss became nan"), "the loss became nan"),
        (PluginError("attack 'x' must return a tensor"), "attack 'x' must return a tensor"),
        (UsageError("steps is -1"), "steps is -1"),
        (StoreError("missing"), "missing"),
        (ValueError("bad value"), "ValueError: bad value"),
        (KeyError("name"), "KeyError: 'name'"),
        (RuntimeError(), "RuntimeError"),
        (RuntimeError("first line\n  second   line\n"), "RuntimeError: first line second line"),
        (MemoryError(), "MemoryError"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
    ],
)
def test_the_reason_is_one_line_that_a_person_can_read(
    failing: Callable[..., None],
    make_step: MakeStep,
    tmp_path: Path,
    error: Exception,
    reason: str,
) -> None:
    failing(broken=error)
    failure = attempt(make_step("broken"), Store(tmp_path), Reporter())
    assert failure is not None
    assert failure.reason.endswith(reason)
    assert "\n" not in failure.reason
    assert type(error).__name__ in failure.traceback
    assert "in execute" in failure.traceback


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.EIO, "Input/output error"), "OSError: Input/output error"),
        (FileNotFoundError(2, "No such file", "a/b"), "FileNotFoundError: a/b: No such file"),
        (
            WriteError(Path("a/b.npz"), OSError(errno.EIO, "Input/output error", "a/.x.tmp")),
            "a/b.npz: cannot be written (Input/output error)",
        ),
    ],
)
def test_what_the_system_says_is_told_without_its_number(
    failing: Callable[..., None],
    make_step: MakeStep,
    tmp_path: Path,
    error: Exception,
    reason: str,
) -> None:
    failing(broken=error)
    failure = attempt(make_step("broken"), Store(tmp_path), Reporter())
    assert failure is not None
    assert failure.reason == reason


@pytest.mark.parametrize("number", sorted(NO_ROOM))
def test_where_nothing_can_be_written_nothing_more_is_made(
    failing: Callable[..., None], diamond: list[Step], tmp_path: Path, number: int
) -> None:
    """A full disk, a used-up quota, a disk that became read-only."""
    error = WriteError(tmp_path / "x.npz", OSError(number, os.strerror(number)))
    failing(left=error)
    schedule, diary = Schedule(diamond, ()), Diary()
    with pytest.raises(NoRoomError) as raised:
        run_here(schedule, Store(tmp_path), diary)
    message = str(raised.value)
    assert message.startswith(f"{tmp_path / 'x.npz'}: cannot be written ({os.strerror(number)}), ")
    assert message.endswith("the same command goes on from there")
    assert ". " not in message
    assert schedule.done == {diamond[0].key}
    assert diary.heard[-1] == "left 1/2"
    assert not schedule.failed
    # A plugin's own full disk is its own failure.
    failing(left=OSError(number, os.strerror(number)))
    run_here(Schedule(diamond, ()), Store(tmp_path), Diary())


def test_a_plugin_that_exits_fails_its_step(
    failing: Callable[..., None], make_step: MakeStep, tmp_path: Path
) -> None:
    failing(broken=SystemExit(3))
    failure = attempt(make_step("broken"), Store(tmp_path), Reporter())
    assert failure is not None
    assert failure.reason == "SystemExit: 3"


def test_being_told_to_stop_is_no_failure(
    failing: Callable[..., None], make_step: MakeStep, tmp_path: Path
) -> None:
    failing(broken=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        attempt(make_step("broken"), Store(tmp_path), Reporter())
    assert Store(tmp_path).failure(make_step("broken").address) is None


def test_all_goes_well(failing: Callable[..., None], diamond: list[Step], tmp_path: Path) -> None:
    failing()
    schedule, store, diary = Schedule(diamond, ()), Store(tmp_path), Diary()
    run_here(schedule, store, diary)
    assert schedule.done == {step.key for step in diamond}
    assert all(store.has(step.address) for step in diamond)
    assert diary.heard == [
        line
        for step in diamond
        for line in (f"started {step.label}", f"{step.label} 1/2", f"finished {step.label}")
    ]


def test_a_failing_step_is_noted_and_the_rest_goes_on(
    failing: Callable[..., None], diamond: list[Step], tmp_path: Path
) -> None:
    failing(left=TrainingError("the loss became nan"))
    schedule, store, diary = Schedule(diamond, ()), Store(tmp_path), Diary()
    run_here(schedule, store, diary)
    top, left, right, bottom, alone = diamond
    assert schedule.finished
    assert schedule.done == {top.key, right.key, alone.key}
    assert schedule.failed == dict.fromkeys((left.key, bottom.key), "the loss became nan")
    noted = store.failure(left.address)
    assert noted is not None
    assert noted.reason == "the loss became nan"
    assert "TrainingError" in noted.traceback
    assert store.failure(bottom.address) is None  # it was never tried
    assert "failed left: the loss became nan (1 dropped)" in diary.heard
    assert "started bottom" not in diary.heard
    assert diary.heard[-1] == "finished alone"


def test_each_failure_keeps_its_own_reason(
    failing: Callable[..., None], diamond: list[Step], tmp_path: Path
) -> None:
    failing(right=PluginError("no right"), alone=ValueError("not alone"))
    schedule = Schedule(diamond, ())
    run_here(schedule, Store(tmp_path), Reporter())
    _, _, right, bottom, alone = diamond
    assert schedule.failed == {
        right.key: "no right",
        bottom.key: "no right",
        alone.key: "ValueError: not alone",
    }


def test_a_disk_too_full_to_note_a_failure_does_not_end_the_run(
    failing: Callable[..., None],
    diamond: list[Step],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")

    def fail(self: Store, address: object, failure: Failure) -> None:  # noqa: ARG001
        raise full

    failing(left=full)
    monkeypatch.setattr(Store, "fail", fail)
    schedule, diary = Schedule(diamond, ()), Diary()
    run_here(schedule, Store(tmp_path), diary)
    assert schedule.finished
    assert len(schedule.failed) == 2
    assert any("No space left on device (1 dropped)" in line for line in diary.heard)
    assert diary.heard[-1] == "finished alone"


def test_a_success_clears_what_was_noted_before(
    failing: Callable[..., None], make_step: MakeStep, tmp_path: Path
) -> None:
    step, store = make_step("moody"), Store(tmp_path)
    failing(moody=ValueError("not today"))
    run_here(Schedule([step], ()), store, Reporter())
    assert store.failure(step.address) is not None
    failing()
    run_here(Schedule([step], ()), store, Reporter())
    assert store.failure(step.address) is None
    assert store.has(step.address)
