"""A run as a whole, on images of 8x8: what is stored is not made again, whoever is beside it."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typing_extensions import override

import hashbench
from hashbench import UsageError
from hashbench.hashing import OptimizerName
from hashbench.results.cell import CLEAN, Status
from hashbench.results.load import load_results
from hashbench.results.store import Failure, Store
from hashbench.runner import run as room
from hashbench.runner.engines.contract import Resources
from hashbench.runner.evaluation_steps import AdversarialCodes, Scores
from hashbench.runner.plan import Plan, ancestors, make_plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.run import missing_steps, run_plan
from hashbench.runner.steps import BaseModel, DefendedModel, ModelCodes, Step
from hashbench.runner.suite import Suite

TinySuite = Callable[..., Suite]


class Counter(Reporter):
    """Keeps which steps were started, and what was said at the beginning."""

    def __init__(self) -> None:
        self.begun: list[tuple[int, int]] = []
        self.steps: list[Step] = []
        self.ended = 0
        self.elsewhere_made: list[Step] = []
        self.notes: list[str] = []

    def begin(self, steps: int, stored: int) -> None:
        self.begun.append((steps, stored))

    def started(self, step: Step) -> None:
        self.steps.append(step)

    def elsewhere(self, step: Step) -> None:
        self.elsewhere_made.append(step)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def end(self) -> None:
        self.ended += 1

    def kinds(self) -> list[type[Step]]:
        return sorted({type(step) for step in self.steps}, key=str)


@pytest.fixture
def plan(tiny_suite: TinySuite) -> Plan:
    """Two defenses under two attacks: 17 steps, one of them the base model."""
    return make_plan(tiny_suite(defense=["none", "cgat"], attack=["noise", "pgd-hamming:steps=1"]))


def run_it(plan: Plan, out: Path) -> Counter:
    counter = Counter()
    results = run_plan(plan, out=out, reporter=counter)
    assert not results.failed
    assert counter.ended == 1
    return counter


def test_a_plan_has_each_step_once(plan: Plan) -> None:
    kinds = [type(step) for step in plan.steps]
    assert kinds.count(BaseModel) == 1
    assert kinds.count(DefendedModel) == kinds.count(ModelCodes) == 2
    assert kinds.count(AdversarialCodes) == 4
    assert kinds.count(Scores) == len(plan.cells) == 6
    assert {planned.cell.attack for planned in plan.cells} == {
        CLEAN,
        "noise",
        "pgd-hamming:steps=1",
    }
    assert {planned.cell.eps for planned in plan.cells if planned.cell.attack == CLEAN} == {"0"}


def test_a_second_run_makes_nothing(plan: Plan, tmp_path: Path) -> None:
    first = run_it(plan, tmp_path)
    assert first.begun == [(17, 0)]
    frame = load_results(tmp_path).to_frame()
    second = run_it(plan, tmp_path)
    assert second.begun == [(0, 17)]
    assert second.steps == []
    assert load_results(tmp_path).to_frame().equals(frame)
    assert len(list((tmp_path / "plans").iterdir())) == 1


def test_only_what_a_missing_result_needs_is_made(plan: Plan, tmp_path: Path) -> None:
    run_it(plan, tmp_path)
    store = Store(tmp_path)
    assert missing_steps(plan, store) == []

    def remove(*kinds: type[Step]) -> None:
        for step in plan.steps:
            if type(step) in kinds:
                shutil.rmtree(tmp_path / step.address.path)

    # Inputs of results that are there are not missed.
    remove(AdversarialCodes, ModelCodes, DefendedModel, BaseModel)
    assert missing_steps(plan, store) == []
    # One result is missing: it, and all that it is made from, comes back; the others stay away.
    attacked = next(planned.scores for planned in plan.cells if planned.cell.attack != CLEAN)
    shutil.rmtree(tmp_path / attacked.address.path)
    wanted = {step.key for step in ancestors(attacked)}
    assert {step.key for step in missing_steps(plan, store)} == wanted
    counter = run_it(plan, tmp_path)
    assert {step.key for step in counter.steps} == wanted
    # Now only the results are missing that nothing else is needed for.
    shutil.rmtree(tmp_path / attacked.address.path)
    assert [step.key for step in missing_steps(plan, store)] == [attacked.key]


def test_a_damaged_artifact_is_made_again_and_is_the_same(plan: Plan, tmp_path: Path) -> None:
    run_it(plan, tmp_path)
    frame = load_results(tmp_path).to_frame()
    scores = plan.cells[-1].scores
    assert isinstance(scores, Scores)
    for step in (scores, scores.adversarial):
        assert step is not None
        for file in (tmp_path / step.address.path).iterdir():
            file.write_bytes(file.read_bytes()[:-3])
    assert load_results(tmp_path).failed[0].status is Status.MISSING
    counter = run_it(plan, tmp_path)
    assert [type(step) for step in counter.steps] == [AdversarialCodes, Scores]
    assert load_results(tmp_path).to_frame().equals(frame)


def test_grids_share_what_they_have_in_common(tiny_suite: TinySuite, tmp_path: Path) -> None:
    run_it(make_plan(tiny_suite(attack="noise")), tmp_path)
    more = make_plan(tiny_suite(attack=["noise", "pgd-hamming:steps=1"]))
    counter = run_it(more, tmp_path)
    assert counter.kinds() == sorted([AdversarialCodes, Scores], key=str)
    assert len(counter.steps) == 2
    assert len(load_results(tmp_path).cells) == 3


BROKEN = """
from dataclasses import dataclass
from hashbench.plugins import Attack, attack

@attack("clumsy")
@dataclass(frozen=True)
class Clumsy(Attack):
    def perturb(self, model, images, goal, threat, rng):
        {action}
"""


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("raise ValueError('no gradient today')", "ValueError: no gradient today"),
        ("return images[:, :, :4]", "attack 'clumsy' must return images of shape ("),
        ("return images * float('nan')", "attack 'clumsy' must return finite images"),
    ],
)
def test_a_failing_attack_is_shown_and_the_others_go_on(
    tiny_suite: TinySuite, tmp_path: Path, action: str, reason: str
) -> None:
    plugin = tmp_path / "clumsy.py"
    plugin.write_text(BROKEN.format(action=action))
    suite = tiny_suite(plugin=[plugin], attack=["noise", "clumsy"])
    results = hashbench.run(suite, out=tmp_path / "results")
    status = {result.cell.attack: result.status for result in results.cells}
    assert status == {"none": Status.DONE, "noise": Status.DONE, "clumsy": Status.FAILED}
    (failed,) = results.failed
    assert failed.reason.startswith(reason)
    row = results.to_frame().query("attack == 'clumsy'").iloc[0]
    assert row["status"] == "failed"
    assert row["reason"].startswith(reason)
    assert not results.worst_cases
    # Mended, only its own cell is run, and the failure is gone.
    plugin.write_text(BROKEN.format(action="return images"))
    counter = Counter()
    mended = run_plan(make_plan(suite), out=tmp_path / "results", reporter=counter)
    assert not mended.failed
    assert [type(step) for step in counter.steps] == [AdversarialCodes, Scores]


def test_a_failed_step_is_tried_again(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.fail(plan.steps[0].address, Failure("the power went"))
    run_it(plan, tmp_path)
    assert store.failure(plan.steps[0].address) is None


def test_an_old_failure_does_not_speak_for_a_run_that_did_not_come_so_far(
    plan: Plan, tmp_path: Path
) -> None:
    class Impatient(Reporter):
        @override
        def started(self, step: Step) -> None:
            raise KeyboardInterrupt

    last = plan.cells[-1]
    Store(tmp_path).fail(last.scores.address, Failure("the power went"))
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, out=tmp_path, reporter=Impatient())
    status = {result.cell: result.status for result in load_results(tmp_path).cells}
    assert status[last.cell] is Status.MISSING


def test_two_runs_on_one_folder_the_second_joins(plan: Plan, tmp_path: Path) -> None:
    other = Counter()

    class First(Counter):
        @override
        def begin(self, steps: int, stored: int) -> None:
            super().begin(steps, stored)
            assert not run_plan(plan, out=tmp_path, reporter=other).failed

    first = First()
    assert not run_plan(plan, out=tmp_path, reporter=first).failed
    assert first.begun == other.begun == [(17, 0)]
    assert len(other.steps) == len(first.elsewhere_made) == 17
    assert first.steps == other.elsewhere_made == []
    (note,) = other.notes
    assert note == f"folder {tmp_path}: another run is at work there; the steps are shared"
    assert first.notes == []
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "artifacts", "plans"}
    assert run_it(plan, tmp_path).begun == [(0, 17)]


def test_who_keeps_the_folder_for_itself_is_waited_for_and_its_death_frees_it(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As versions did that knew no claims."""
    monkeypatch.setattr("hashbench.runner.alone.PATIENCE", 0.2)
    code = (
        "import fcntl, sys\n"
        f"file = open({str(tmp_path / '.lock')!r}, 'a')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(UsageError, match="another run keeps it for itself"):
            run_plan(plan, out=tmp_path, reporter=Reporter())
        assert list(tmp_path.iterdir()) == [tmp_path / ".lock"]  # it left the folder alone
    finally:
        holder.kill()
        holder.communicate()
    run_it(plan, tmp_path)


def test_the_lock_is_released_when_a_run_is_interrupted(plan: Plan, tmp_path: Path) -> None:
    class Impatient(Counter):
        @override
        def finished(self, step: Step, seconds: float) -> None:
            raise KeyboardInterrupt

    counter = Impatient()
    with pytest.raises(KeyboardInterrupt):
        run_plan(plan, out=tmp_path, reporter=counter)
    assert counter.ended == 1
    with (tmp_path / ".lock").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    # What was done is kept.
    assert run_it(plan, tmp_path).begun == [(16, 1)]


def test_what_an_interrupted_run_left_is_swept(plan: Plan, tmp_path: Path) -> None:
    rest = tmp_path / "artifacts" / "model" / ".train-x.0a1b2c3d.tmp"
    rest.mkdir(parents=True)
    run_it(plan, tmp_path)
    assert not [path for path in tmp_path.rglob(".*") if path.name != ".lock"]


def test_one_run_mends_whatever_one_artifact_was_damaged(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    """Those included that are read through another one: a wrapper has no weights of its own."""
    plan = make_plan(tiny_suite(defense=["none", "jpeg"], training={"epochs": 1, "batch": 8}))
    run_it(plan, tmp_path)
    store = Store(tmp_path)
    scores = [step for step in plan.steps if isinstance(step, Scores) and step.adversarial]
    read = {one.key: one for again in scores for one in ancestors(again)}
    for step in read.values():
        for again in scores:  # something is still to be made
            for one in (again, again.adversarial):
                assert one is not None
                shutil.rmtree(tmp_path / one.address.path, ignore_errors=True)
        for path in (tmp_path / step.address.path).glob("*"):
            if path.name != "done.json":
                path.write_bytes(path.read_bytes()[:-1])
        run_it(plan, tmp_path)
        assert all(store.has(one.address) for one in read.values()), f"{step.label}: damaged"


@pytest.mark.parametrize("workers", [0, -1])
def test_less_than_one_worker_is_refused(plan: Plan, tmp_path: Path, workers: int) -> None:
    with pytest.raises(UsageError, match=f"workers is {workers:,}, but must be from 1 to 1,024"):
        run_plan(plan, out=tmp_path / "new", resources=Resources(workers), reporter=Reporter())
    assert not (tmp_path / "new").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "results").write_text("mine")
    with pytest.raises(UsageError, match="cannot be written to"):
        run_plan(plan, out=tmp_path / "results", reporter=Reporter())
    assert (tmp_path / "results").read_text() == "mine"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_told_and_does_without(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def flock(handle: int, operation: int) -> None:  # noqa: ARG001
        raise OSError(number, os.strerror(number))

    counter = Counter()
    another_runs = tmp_path / "artifacts" / "model" / ".train-x.0a1b2c3d.tmp"
    another_runs.mkdir(parents=True)
    monkeypatch.setattr("fcntl.flock", flock)
    results = run_plan(plan, out=tmp_path, reporter=counter)
    assert all(cell.status is Status.DONE for cell in results.cells)
    (note,) = counter.notes
    assert note.startswith(f"folder {tmp_path}: its file system has no locks")
    assert "another run is" not in note
    assert another_runs.exists()


def test_a_lock_that_fails_for_another_reason_claims_no_other_run(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(handle: int, operation: int) -> None:  # noqa: ARG001
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.raises(UsageError, match=r"cannot be locked \(Input/output error\)"):
        run_plan(plan, out=tmp_path, reporter=Reporter())


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_refused(plan: Plan, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="cannot be written to"):
        run_plan(plan, out=tmp_path / "results", reporter=Reporter())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"attack": "pgd"}, "there is no attack 'pgd'; did you mean 'pgd-hamming'?"),
        ({"defense": "cgta"}, "there is no defense 'cgta'; did you mean 'cgat'?"),
        ({"loss": "cqs"}, "there is no loss 'cqs'; did you mean 'csq'?"),
        ({"backbone": "small"}, "there is no backbone 'small'; did you mean 'small-cnn'?"),
        ({"dataset": "tinny"}, "there is no dataset 'tinny'; did you mean 'tiny'?"),
        ({"attack": "hag:step=2"}, "attack 'hag' has no parameter 'step'; did you mean 'steps'?"),
        (
            {"attack": "hag:steps=x"},
            "attack 'hag', parameter 'steps': expected a whole number, found 'x'",
        ),
        ({"attack": "hag:steps=-1"}, "attack 'hag': steps must be 0 or more"),
        ({"dataset": "fashion-mnist"}, "dataset 'fashion-mnist' is read from a folder: name it"),
        ({"root": "/no/such/folder"}, "root /no/such/folder: no such folder"),
        ({"plugin": ["/no/such/file.py"]}, "plugin file /no/such/file.py: no such file"),
        ({"checkpoint": "/no/such/folder"}, "checkpoint /no/such/folder: "),
        ({"compute": {"device": "gpu"}}, "compute.device is 'gpu', expected cpu or cuda"),
        (
            {"training": {"epochs": 1, "optimizer": "sdg"}},
            "training.optimizer: 'sdg' is no choice; did you mean 'sgd'? known: adam, sgd",
        ),
    ],
    ids=lambda value: str(value)[:40],
)
def test_what_cannot_be_run_is_refused_before_anything_is_done(
    tiny_suite: TinySuite, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError) as raised:
        hashbench.run(tiny_suite(**changes), out=tmp_path / "results")
    assert str(raised.value).startswith(message)
    assert not (tmp_path / "results").exists()


def test_the_optimizer_is_read_by_name(tiny_suite: TinySuite) -> None:
    plan = make_plan(tiny_suite(training={"epochs": 1, "optimizer": "adam"}))
    (base,) = [step for step in plan.steps if isinstance(step, BaseModel)]
    assert base.recipe.optimizer is OptimizerName.ADAM


def test_the_largest_radius_is_what_defenses_train_for(tiny_suite: TinySuite) -> None:
    plan = make_plan(tiny_suite(defense="cgat", eps=["4/255", "16/255", "8/255"]))
    (defended,) = [step for step in plan.steps if isinstance(step, DefendedModel)]
    assert str(defended.budget.eps) == "16/255"
    named = make_plan(tiny_suite(budget={"epochs": 1, "inner_steps": 1, "eps": "1/255"}))
    (defended,) = [step for step in named.steps if isinstance(step, DefendedModel)]
    assert str(defended.budget.eps) == "1/255"


def test_a_run_may_be_named_by_the_path_of_its_file(tiny_suite: TinySuite, tmp_path: Path) -> None:
    suite = tiny_suite()
    path = tmp_path / "mine.toml"
    path.write_text(
        f"plugin = {[str(file) for file in suite.plugin]!r}\n"
        'dataset = "tiny"\nbackbone = "small-cnn:width=4,hidden=16"\nbits = 8\neps = "24/255"\n'
        'defense = "none"\nattack = "noise"\ntraining = {epochs = 1, batch = 8}\n'
    )
    results = hashbench.run(path, out=tmp_path / "results")
    assert len(results.cells) == 2
    assert not results.failed
    assert room.run is hashbench.run
