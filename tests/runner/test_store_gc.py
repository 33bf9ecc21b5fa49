"""What `hashbench store gc` deletes changes no report, and no run has to make anything again."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hashbench import atomic
from hashbench.errors import StoreError, UsageError
from hashbench.reports.comma_separated import CommaSeparated
from hashbench.reports.json_lines import JsonLines
from hashbench.results.artifacts import ArtifactKind
from hashbench.results.clearing import Removal, Rules, delete, removals
from hashbench.results.inventory import Item, Kind, Why, refuse_no_store, take_stock
from hashbench.results.load import load_results
from hashbench.results.needs import needs_of, plan_named, together
from hashbench.results.store import Failure, Store
from hashbench.runner.plan import Plan, make_plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.run import missing_steps, run_plan
from hashbench.runner.suite import Suite

ATTACK = """
from dataclasses import dataclass
from hashbench.plugins import Access, Attack, attack

@attack("mine", access=Access.NONE, knowledge=())
@dataclass(frozen=True)
class Mine(Attack):
    \"\"\"Make it brighter.\"\"\"

    def passes(self):
        return 0

    def perturb(self, model, images, goal, threat, rng):
        return (images + threat.radius / {version}).clamp(0, 1)
"""


def stock(folder: Path, dropped: tuple[str, ...] = ()) -> list[Item]:
    return list(take_stock(Store(folder), needs_of(Store(folder), dropped)))


def cleared(folder: Path, rules: Rules | None = None, dropped: tuple[str, ...] = ()) -> list[Item]:
    """Delete what is not needed; what that was."""
    chosen = removals(stock(folder, dropped), rules or Rules(), dropped)
    assert [reason for _, reason in delete(folder, chosen)] == [""] * len(chosen)
    return [one.item for one in chosen]


def report(folder: Path) -> str:
    results = load_results(folder)
    # The folder's name is told in lines; both are read at the same place.
    return CommaSeparated().render(results) + JsonLines().render(results)


def paths(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


@dataclass(frozen=True)
class Grown:
    """A folder of several runs.

    Attributes:
        folder: of it.
        plans: of the runs that a program of today can ask for again.
        earlier: the plan whose attack was edited since.
    """

    folder: Path
    plans: tuple[Plan, ...]
    earlier: Plan


_GROWN: list[Grown] = []
"""Made once; each test has a copy of the folder."""


@pytest.fixture
def grown(
    tiny_suite: Callable[..., Suite], tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Grown:
    if not _GROWN:
        _GROWN.append(_grown(tiny_suite, tmp_path_factory.mktemp("grown")))
    copy = tmp_path / "results"
    shutil.copytree(_GROWN[0].folder, copy)
    return replace(_GROWN[0], folder=copy)


def _grown(tiny_suite: Callable[..., Suite], place: Path) -> Grown:
    folder, plugin = place / "results", place / "mine.py"

    def ran(**asked: object) -> Plan:
        plan = make_plan(tiny_suite(**asked))
        run_plan(plan, out=folder, reporter=Reporter())
        return plan

    plugin.write_text(ATTACK.format(version=1))
    earlier = ran(plugin=[plugin], attack=["mine"])
    plugin.write_text(ATTACK.format(version=2))
    plans = (
        ran(plugin=[plugin], attack=["mine", "noise"]),
        ran(attack=["noise", "pgd-hamming:steps=1"], keep_images=2),
        ran(attack=["noise"], compute={"attack_batch": 3}),
        ran(attack=["noise"], eps=["8/255", "4/255"], defense=["none", "jpeg"]),
        ran(attack=["hag:steps=1"], seed=[1, 2], defense="atrdh"),
    )
    return Grown(folder, plans, earlier)


def test_what_earlier_versions_made_goes_and_nothing_else_changes(grown: Grown) -> None:
    folder = grown.folder
    before, whole = report(folder), paths(folder)
    gone = cleared(folder)
    # The attack's codes, scores, images and pictures of the version that is gone; its model and
    # the clean codes are those of every other cell.
    kinds = {str(item.kind) for item in gone}
    assert kinds == {"adversarial", "scores", "images", "gallery"}
    assert {item.why for item in gone} == {Why.EARLIER}
    assert all("mine" in item.path.name for item in gone)
    assert len(gone) == 4
    assert report(folder) == before
    assert whole - paths(folder) == {
        path for path in whole if any(path.is_relative_to(item.path) for item in gone)
    }
    for plan in grown.plans:
        assert missing_steps(plan, Store(folder)) == []
    assert cleared(folder) == []


@pytest.mark.parametrize("seed", range(8))
def test_any_plans_may_be_forgotten(grown: Grown, tmp_path: Path, seed: int) -> None:
    """The folder is then that of the other runs: their report, and nothing to make."""
    rng = random.Random(seed)
    folder = grown.folder
    every = [grown.earlier, *grown.plans]
    kept = [plan for plan in grown.plans if rng.random() < 0.5] or [grown.plans[seed % 5]]
    dropped = tuple(plan.name for plan in every if plan not in kept)
    # What a report of the kept plans says: with nothing deleted but the files of the others.
    aside = tmp_path / "aside"
    shutil.copytree(folder, aside)
    for name in dropped:
        Store(folder).plan_path(name).unlink()
    wanted = report(folder)
    shutil.rmtree(folder)
    shutil.copytree(aside, folder)

    gone = cleared(folder, dropped=dropped)
    assert report(folder) == wanted
    assert {item.path.stem for item in gone if item.kind == Kind.PLAN} == set(dropped)
    for plan in kept:
        assert missing_steps(plan, Store(folder)) == []
    # Nothing is left that no plan needs: every artifact is of a step of one that is kept.
    steps = {step.key[:20] for plan in kept for step in plan.steps}
    for item in stock(folder):
        assert item.why is None
        beside = item.kind in (ArtifactKind.IMAGES, ArtifactKind.GALLERY)
        if item.is_artifact and not beside:
            assert item.path.name[-20:] in steps


def test_a_kill_in_the_middle_leaves_nothing_half_readable(
    grown: Grown, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = grown.folder
    dropped = tuple(plan.name for plan in grown.plans[1:])
    chosen = removals(stock(folder, dropped), Rules(), dropped)
    assert len(chosen) > 20

    class Killed(BaseException):
        pass

    def half(path: Path) -> None:
        """Delete one file of a folder, as far as it came."""
        next(iter(sorted(path.iterdir()))).unlink()
        raise Killed

    for place in range(len(chosen)):
        done = 0
        with monkeypatch.context() as patch:
            for _ in delete(folder, chosen[:1]):
                done += 1
            if len(chosen) > 1 and (folder / chosen[1].item.path).is_dir():
                patch.setattr("hashbench.atomic.shutil.rmtree", half)
                with pytest.raises(Killed):
                    list(delete(folder, chosen[1:2]))
        # Whatever bears the name of an artifact is whole, and what is asked for can be read.
        for item in stock(folder):
            assert not item.damage, (place, item)
        assert load_results(folder).troubles == ()
        chosen = removals(stock(folder), Rules())
        if len(chosen) < 2:
            break
    assert missing_steps(grown.plans[0], Store(folder)) == []


def test_notes_that_are_of_no_use_any_more_go(grown: Grown) -> None:
    folder, store = grown.folder, Store(grown.folder)
    steps = {str(step.kind): step for step in grown.plans[4].steps}
    model, scores = steps["model"], steps["scores"]
    store.fail(model.address, Failure("it failed, and was mended"))
    atomic.discard(folder / scores.address.path)
    store.fail(scores.address, Failure("it fails"))
    strange = "0123456789abcdef0123"
    (folder / "failures" / f"{strange}.json").write_text("{}")
    states = folder / "unfinished"
    states.mkdir()
    (states / f"{model.key[:20]}.safetensors").write_bytes(b"done since")
    (states / f"{scores.key[:20]}.safetensors").write_bytes(b"to go on from")
    (states / f"{strange}.safetensors").write_bytes(b"of nobody")
    half = folder / "artifacts/model/.half-0123.0a1b2c3d.tmp"
    half.mkdir()
    (half / "weights.safetensors").write_bytes(b"half")
    before = report(folder)
    assert "it fails" in before
    gone = {item.path.as_posix(): item.why for item in cleared(folder) if item.why != Why.EARLIER}
    assert gone == {
        f"failures/{model.key[:20]}.json": Why.DONE,
        f"failures/{strange}.json": Why.NO_PLAN,
        f"unfinished/{model.key[:20]}.safetensors": Why.DONE,
        f"unfinished/{strange}.safetensors": Why.NO_PLAN,
        "artifacts/model/.half-0123.0a1b2c3d.tmp": Why.HALF_WRITTEN,
    }
    assert report(folder) == before
    assert (states / f"{scores.key[:20]}.safetensors").read_bytes() == b"to go on from"


def test_models_and_what_is_young_may_be_kept(grown: Grown) -> None:
    dropped = (grown.plans[4].name,)
    items = stock(grown.folder, dropped)
    plain = removals(items, Rules())
    kept = removals(items, Rules(keep_models=True))
    models = {one.item.path for one in plain if one.item.kind == "model"}
    assert len(models) == 4  # of two seeds a base model and a defended one
    assert {one.item.path for one in plain} - {one.item.path for one in kept} == models
    assert removals(items, Rules(older_than=1)) == ()
    old = [
        Item(one.path, one.kind, one.bytes, datetime.now(UTC) - timedelta(days=2), why=one.why)
        for one in items
    ]
    assert len(removals(old, Rules(older_than=1))) == len(plain)
    assert removals(old, Rules(older_than=3)) == ()


def test_order_is_downstream_first(grown: Grown) -> None:
    dropped = tuple(plan.name for plan in grown.plans[1:])
    kinds = [str(one.item.kind) for one in removals(stock(grown.folder, dropped), Rules(), dropped)]
    order = ("plan", "gallery", "images", "scores", "probe", "adversarial", "codes", "model")
    assert list(dict.fromkeys(kinds)) == list(order)


def test_plans_of_another_folder_keep_what_they_need(grown: Grown, tmp_path: Path) -> None:
    folder, other = grown.folder, tmp_path / "other"
    (other / "plans").mkdir(parents=True)
    name = grown.plans[4].name
    shutil.move(Store(folder).plan_path(name), Store(other).plan_path(name))
    alone, both = needs_of(Store(folder)), needs_of(Store(other))
    idle = [item for item in take_stock(Store(folder), alone) if item.why is Why.NO_PLAN]
    assert {item.kind for item in idle} >= {"model", "scores"}
    shared = together([alone, both])
    assert not [item for item in take_stock(Store(folder), shared) if item.why is Why.NO_PLAN]


def test_a_damaged_plan_hides_what_it_needs(grown: Grown) -> None:
    store = Store(grown.folder)
    path = store.plan_path(grown.plans[4].name)
    path.write_bytes(path.read_bytes()[:-20])
    needs = needs_of(store)
    assert len(needs.troubles) == 1
    assert str(path) in needs.troubles[0]
    assert needs_of(store, [path.stem]).troubles == ()


def test_a_plan_is_named_by_its_first_digits(grown: Grown) -> None:
    store = Store(grown.folder)
    name = grown.plans[0].name
    assert plan_named(store, name[:12]) == name
    with pytest.raises(StoreError, match="there is no such plan"):
        plan_named(store, "nothing")
    with pytest.raises(StoreError, match="there is no such plan"):
        plan_named(store, "")


def test_nothing_outside_of_the_store_is_touched(grown: Grown, tmp_path: Path) -> None:
    folder, outside = grown.folder, tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    digits = "0123456789abcdef0123"
    (folder / f"artifacts/model/link-{digits}").symlink_to(outside)
    (folder / "artifacts/model/.a.0a1b2c3d.tmp").symlink_to(outside)
    (folder / "artifacts/notes.txt").write_text("mine")
    (folder / "report.md").write_text("mine")
    (folder / "failures").mkdir(exist_ok=True)
    (folder / f"failures/{digits}.json").symlink_to(outside / "precious")
    inside = folder / f"artifacts/model/real-{digits}"
    inside.mkdir()
    (inside / "way-out").symlink_to(outside)
    gone = {item.path.name for item in cleared(folder)}
    assert f"real-{digits}" in gone
    assert (outside / "precious").read_text() == "precious"
    assert (folder / "artifacts/notes.txt").exists()
    assert (folder / "report.md").exists()
    one = Item(Path("../outside/precious"), "model", 1, datetime.now(UTC), why=Why.NO_PLAN)
    assert [reason for _, reason in delete(folder, [Removal(one, "")])] != [""]
    assert (outside / "precious").exists()
    (folder / "artifacts/model").rename(tmp_path / "moved")
    (folder / "artifacts/model").symlink_to(tmp_path / "moved")
    with pytest.raises(StoreError, match="it is a link"):
        refuse_no_store(folder)
    with pytest.raises(UsageError, match="no folder of results"):
        refuse_no_store(outside)
