"""A database that is encoded and counted part by part: to the byte what is made at once."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import hashbench
from hashbench.errors import UsageError
from hashbench.hashing.encode import ENCODE_BATCH
from hashbench.progress import no_progress
from hashbench.results.artifacts import ArtifactKind
from hashbench.results.clearing import Rules, delete, removals
from hashbench.results.inventory import Item, Why, take_stock
from hashbench.results.needs import needs_of
from hashbench.results.status import CellState, status_of
from hashbench.results.store import Store
from hashbench.results.verifying import damages
from hashbench.runner.engines.cluster import own_cluster
from hashbench.runner.estimate import estimate
from hashbench.runner.evaluation_steps import Comparison, DistanceTallies, Scores
from hashbench.runner.execute import execute
from hashbench.runner.plan import make_plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.run import missing_steps, run_plan
from hashbench.runner.step_kinds import KINDS, StepKind, kind_of
from hashbench.runner.steps import DatabaseCodes, ModelCodes, Step
from hashbench.runner.stored import tallies_of
from hashbench.runner.suite import Suite
from hashbench.runner.suite_tables import DATABASE_PART

TinySuite = Callable[..., Suite]

IMAGES = 1_203
"""Of the database: three blocks that are encoded together, the last one not whole."""

MANY = f"""
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hashbench.data import ImageSet, RetrievalData
from hashbench.plugins import Dataset, dataset


@dataclass(frozen=True)
@dataset("many")
class Many(Dataset):
    '''Noise around a brightness for each class; some images are of two classes.'''

    def load(self, root):
        rng = np.random.default_rng(3)
        return RetrievalData(("a", "b", "c"), *(self._draw(rng, n) for n in (20, 9, {IMAGES})))

    def _draw(self, rng, count):
        labels = np.zeros((count, 3), dtype=np.uint8)
        labels[np.arange(count), rng.integers(0, 3, count)] = 1
        labels[rng.integers(0, 2, count) == 1, 0] = 1
        images = rng.integers(0, 120, (count, 1, 8, 8)) + 60 * labels.argmax(1)[:, None, None, None]
        return ImageSet(images.astype(np.uint8), labels)
"""

FORGETFUL = """
from dataclasses import dataclass

import torch
from torch import nn

from hashbench.hashing import BackboneNet
from hashbench.plugins import Backbone, backbone


class Counting(nn.Module):
    '''Adds to each answer how often it was asked: in a buffer, or as a draw.'''

    def __init__(self, draws):
        super().__init__()
        self.layer = nn.Linear(64, 6)
        self.draws = draws
        self.register_buffer("asked", torch.zeros(1))

    def forward(self, x):
        if self.draws:
            return self.layer(x.flatten(1)) + torch.randn(len(x), 1)
        self.asked += 0 if self.training else 1
        return self.layer(x.flatten(1)) + torch.sin(self.asked)


@backbone("forgetful")
@dataclass(frozen=True)
class Forgetful(Backbone):
    '''Answers by what it was asked before.'''

    draws: bool = False

    def build(self, images):
        return BackboneNet(Counting(self.draws), 6, images.mean, images.std)
"""


@pytest.fixture
def many(tiny_suite: TinySuite, tmp_path: Path) -> TinySuite:
    """Builds a suite on 1,203 images, in parts of so many; 0 divides nothing."""
    (tmp_path / "many.py").write_text(MANY)

    def build(part: int = 0, **changes: Any) -> Suite:
        compute = {"database_part": part} if part else {}
        changes = {"attack": ["noise", "tha:steps=2"], "defense": ["none", "jpeg"], **changes}
        plugin = [tmp_path / "many.py", *changes.pop("plugin", ())]
        return tiny_suite(plugin=plugin, dataset="many", compute=compute, **changes)

    return build


def contents(out: Path, *but: ArtifactKind) -> dict[str, bytes]:
    """All that steps have written, by its place; what notes the time is left out."""
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.glob("artifacts/*/*/*"))
        if path.name != "done.json" and path.parts[-3] not in but
    }


def whole(out: Path) -> dict[str, bytes]:
    return contents(out, ArtifactKind.CODES_PART, ArtifactKind.TALLY)


def names(out: Path, kind: ArtifactKind) -> list[str]:
    return sorted(path.name for path in (out / "artifacts" / kind).glob("*"))


@pytest.fixture
def cluster() -> Iterator[Any]:
    with own_cluster(2, ()) as ray:
        yield ray


def test_the_same_bytes_in_one_process_and_in_several(many: TinySuite, tmp_path: Path) -> None:
    """Clean, attacked and targeted cells, of a model and of one behind a transformation."""
    made = {}
    for name, part, workers in (("a", 0, 1), ("b", 500, 1), ("c", 600, 2)):
        results = hashbench.run(many(part), out=tmp_path / name, workers=workers)
        assert [cell.reason for cell in results.cells if cell.status != "done"] == []
        made[name] = (results.to_frame().to_csv(), whole(tmp_path / name))
    assert made["a"] == made["b"] == made["c"]
    assert sum(path.endswith("scores.json") for path in made["a"][1]) == 6
    kinds = (ArtifactKind.CODES_PART, ArtifactKind.TALLY)
    assert [len(names(tmp_path / "a", kind)) for kind in kinds] == [0, 0]
    assert [len(names(tmp_path / "b", kind)) for kind in kinds] == [2 * 3, 6 * 3]
    # 600 is rounded up to two blocks of 500.
    assert [len(names(tmp_path / "c", kind)) for kind in kinds] == [2 * 2, 6 * 2]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(find_spec("ray") is None, reason="the extra 'ray' is not installed")
def test_the_same_bytes_on_ray(cluster: Any, many: TinySuite, tmp_path: Path) -> None:
    assert cluster.is_initialized()
    made = {}
    for name, part, engine in (("a", 0, "local"), ("b", 500, "ray")):
        results = hashbench.run(many(part), out=tmp_path / name, engine=engine, workers=2)
        made[name] = (results.to_frame().to_csv(), whole(tmp_path / name))
    assert made["a"] == made["b"]
    assert len(names(tmp_path / "b", ArtifactKind.TALLY)) == 6 * 3


def test_no_key_says_how_a_database_is_divided(many: TinySuite) -> None:
    plans = [make_plan(many(part)) for part in (0, 500, 1_000)]
    one, *others = ({step.key for step in plan.steps if step.whole is None} for plan in plans)
    assert others == [one, one]
    assert len({plan.name for plan in plans}) == 1
    cells = [[vars(planned.cell) for planned in plan.cells] for plan in plans]
    assert cells[0] == cells[1] == cells[2]
    parts = [{step.key for step in plan.steps if step.whole is not None} for plan in plans]
    assert [len(keys) for keys in parts] == [0, 8 * 3, 8 * 2]
    # The last 203 images are a part both times, and need not be encoded again.
    assert len(parts[1] & parts[2]) == 8


def test_a_folder_is_found_again_however_it_was_divided(many: TinySuite, tmp_path: Path) -> None:
    for name, before, after in (("a", 0, 500), ("b", 500, 0), ("c", 500, 1_000)):
        hashbench.run(many(before), out=tmp_path / name)
        assert missing_steps(make_plan(many(after)), Store(tmp_path / name)) == []


def test_each_row_is_in_one_part_and_begins_a_block(many: TinySuite) -> None:
    for part, wanted in ((1, 3), (500, 3), (501, 2), (1_000, 2), (1_001, 0), (IMAGES, 0)):
        (codes,) = (
            step
            for step in make_plan(many(part, defense="none")).steps
            if isinstance(step, ModelCodes)
        )
        ranges = [step.rows for step in codes.parts]
        assert len(ranges) == wanted
        assert [row for rows in ranges for row in rows] == list(range(IMAGES if wanted else 0))
        assert all(rows.start % ENCODE_BATCH == 0 for rows in ranges)


def test_a_part_comes_before_what_is_made_of_it(many: TinySuite) -> None:
    """And nothing but it: each step is named once, after all that it reads from."""
    plan = make_plan(many(500))
    place = {step.key: at for at, step in enumerate(plan.steps)}
    assert len(place) == len(plan.steps)
    for step in plan.steps:
        assert all(place[before.key] < place[step.key] for before in step.reads)
        if isinstance(step, ModelCodes | Scores):
            assert len(step.parts) == 3
            assert all(part.whole is step for part in step.parts)
            # So that a worker that has loaded a model goes on with it.
            assert {part.model_key for part in step.parts} == {step.model_key}


def test_the_usual_data_sets_are_not_divided(many: TinySuite) -> None:
    assert many().compute.database_part == DATABASE_PART == 1 << 20
    assert not any(step.parts for step in make_plan(many()).steps)


def test_an_estimate_counts_the_same_passes(many: TinySuite) -> None:
    plans = [make_plan(many(part)) for part in (0, 500, 1_000)]
    counted = {estimate(plan.steps).passes for plan in plans}
    assert len(counted) == 1
    seconds = estimate(plans[1].steps).by_step
    for step in plans[1].steps:
        if isinstance(step, DistanceTallies):
            assert seconds[step.key] > 0
        if isinstance(step, Scores):
            assert seconds[step.key] == 0


def test_counts_of_all_parts_are_those_of_the_whole(many: TinySuite, tmp_path: Path) -> None:
    """What each comparison counts, written out as loops."""
    plan = make_plan(many(500, defense="none"))
    run_plan(plan, out=tmp_path / "out", reporter=Reporter())
    store = Store(tmp_path / "out")
    (targeted,) = (
        step
        for step in plan.steps
        if isinstance(step, Scores) and len(step.comparisons) == len(Comparison) - 1
    )
    assert targeted.adversarial is not None
    codes = np.load(store.file(targeted.codes.address, "codes.npz"))["database"]
    attacked = np.load(store.file(targeted.adversarial.address, "codes.npz"))
    from hashbench.runner.loading import data_of

    labels = data_of(targeted.setting).database.labels
    found = [tallies_of(part, store)[Comparison.TARGETS] for part in targeted.parts]
    for query, (code, target) in enumerate(
        zip(attacked["codes"], attacked["target_labels"], strict=True)
    ):
        distances = (codes != code).sum(axis=1)
        relevant = (labels & target).any(axis=1)
        for distance in range(9):
            at = distances == distance
            assert sum(int(tally.total[query, distance]) for tally in found) == at.sum()
            both = at & relevant
            assert sum(int(tally.relevant[query, distance]) for tally in found) == both.sum()


@pytest.mark.parametrize("draws", ["true", "false"])
def test_a_model_that_remembers_is_asked_at_once(
    many: TinySuite, tmp_path: Path, draws: str
) -> None:
    """One that draws at random, or counts: its codes depend on what it was asked before."""
    (tmp_path / "forgetful.py").write_text(FORGETFUL)
    asked = {
        "plugin": [tmp_path / "forgetful.py"],
        "backbone": f"forgetful:draws={draws}",
        "attack": "noise",
        "defense": "none",
    }
    for name, part in (("a", 0), ("b", 500)):
        hashbench.run(many(part, **asked), out=tmp_path / name)
    assert whole(tmp_path / "a") == whole(tmp_path / "b")
    assert names(tmp_path / "b", ArtifactKind.CODES_PART)
    for path in (tmp_path / "b").glob("artifacts/codes-part/*/codes.npz"):
        assert np.load(path)["database"].shape == (0, 8)


def test_a_transformation_that_draws_is_asked_at_once(many: TinySuite, tmp_path: Path) -> None:
    for name, part in (("a", 0), ("b", 500)):
        hashbench.run(many(part, defense="resize-pad", attack="noise"), out=tmp_path / name)
    assert whole(tmp_path / "a") == whole(tmp_path / "b")


@dataclass
class Counter(Reporter):
    """Notes which steps are made; kills the worker that makes the first one of a kind."""

    out: Path
    victim: type[Step] | None = None
    made: list[str] = field(default_factory=list)
    again_told: list[str] = field(default_factory=list)

    def started(self, step: Step) -> None:
        if self.victim is not None and isinstance(step, self.victim):
            self.victim = None
            for process in Path("/proc").glob("[0-9]*"):
                words = (process / "cmdline").read_bytes() if process.exists() else b""
                if str(self.out.resolve()).encode() in words:
                    os.kill(int(process.name), signal.SIGKILL)

    def finished(self, step: Step, seconds: float) -> None:  # noqa: ARG002
        self.made.append(step.label)

    def again(self, step: Step, reason: str, tried: int, most: int) -> None:  # noqa: ARG002
        self.again_told.append(step.label)


@pytest.mark.parametrize("victim", [DatabaseCodes, DistanceTallies])
def test_a_killed_part_is_made_again(many: TinySuite, tmp_path: Path, victim: type[Step]) -> None:
    asked = {"defense": "none", "attack": "noise"}
    hashbench.run(many(**asked), out=tmp_path / "whole")
    counter = Counter(tmp_path / "shot", victim)
    hashbench.run(many(500, **asked), out=tmp_path / "shot", workers=2, reporter=counter)
    assert counter.victim is None
    assert whole(tmp_path / "shot") == whole(tmp_path / "whole")
    assert len(counter.made) == len(set(counter.made))


def broken_at(monkeypatch: pytest.MonkeyPatch, kind: type[Step], start: int) -> Callable[[], None]:
    """Lets the part that begins there fail; gives what mends it."""
    real = KINDS[kind]

    def make(step: Any, *told: Any) -> Any:
        if step.rows.start == start:
            raise OSError("the network was away")
        return real.make(step, *told)

    monkeypatch.setitem(KINDS, kind, StepKind(kind, make, real.work))
    return lambda: monkeypatch.setitem(KINDS, kind, real)


@pytest.mark.parametrize("kind", [DatabaseCodes, DistanceTallies])
def test_finished_parts_are_not_made_again(
    many: TinySuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: type[Step]
) -> None:
    """Nor taken by `store gc` before they are joined. The failure is told of the cell."""
    out, suite = tmp_path / "out", many(500, defense="none", attack="noise")
    mend = broken_at(monkeypatch, kind, 500)
    results = hashbench.run(suite, out=out)
    assert {cell.status for cell in results.cells} == {"failed"}
    assert all("the network was away" in cell.reason for cell in results.cells)
    assert status_of(out).cells[CellState.FAILED] == 2
    left = [item for item in stock(out) if item.kind in ("codes-part", "tally")]
    unjoined = [item for item in left if item.why is None]
    assert unjoined
    assert all(item.needed_by for item in unjoined)
    cleared(out)
    mend()
    counter = Counter(out)
    hashbench.run(suite, out=out, reporter=counter)
    joined = [label for label in counter.made if "database images" in label]
    before = (len(unjoined) // 2) if kind is DistanceTallies else len(unjoined)
    assert before == 2
    each = [label for label in joined if label.startswith("score")]
    wanted = 2 if kind is DistanceTallies else 2 * 3
    assert len(each) == wanted
    assert len(joined) - len(each) == (0 if kind is DistanceTallies else 1)
    hashbench.run(many(0, defense="none", attack="noise"), out=tmp_path / "whole")
    assert whole(out) == whole(tmp_path / "whole")


def stock(out: Path) -> list[Item]:
    return list(take_stock(Store(out), needs_of(Store(out))))


def cleared(out: Path) -> list[Item]:
    chosen = removals(stock(out), Rules())
    assert [reason for _, reason in delete(out, chosen)] == [""] * len(chosen)
    return [one.item for one in chosen]


def test_joined_parts_are_nobodys_need(many: TinySuite, tmp_path: Path) -> None:
    out, plan = tmp_path / "out", make_plan(many(500, defense="none"))
    run_plan(plan, out=out, reporter=Reporter())
    items = stock(out)
    assert list(damages(Store(out), needs_of(Store(out)), items, no_progress)) == []
    parts = [item for item in items if item.kind in ("codes-part", "tally")]
    assert len(parts) == 3 + 3 * 3
    assert {item.why for item in parts} == {Why.JOINED}
    assert all(item.label for item in parts)
    before = whole(out)
    assert {item.path for item in cleared(out)} == {item.path for item in parts}
    assert whole(out) == before
    assert missing_steps(plan, Store(out)) == []
    # Another attack needs no image encoded again: the joined codes are counted.
    counter = Counter(out)
    hashbench.run(many(500, defense="none", attack="hag:steps=1"), out=out, reporter=counter)
    assert not [label for label in counter.made if label.startswith("codes")]
    assert len([label for label in counter.made if "database images" in label]) == 3


@pytest.mark.parametrize("kind", ["codes-part", "tally"])
@pytest.mark.parametrize("damage", ["cut", "changed", "of another part"])
def test_a_damaged_part_is_made_again(
    many: TinySuite, tmp_path: Path, kind: str, damage: str
) -> None:
    out, plan = tmp_path / "out", make_plan(many(500, defense="none", attack="noise"))
    run_plan(plan, out=out, reporter=Reporter())
    before = contents(out)
    first, second, *_ = sorted((out / "artifacts" / kind).iterdir())
    file = next(path for path in first.iterdir() if path.name != "done.json")
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-7])
    elif damage == "changed":
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
    else:
        shutil.rmtree(first)
        shutil.copytree(second, first)
    for step in plan.steps:
        if isinstance(step, ModelCodes | Scores):
            shutil.rmtree(out / step.address.path)
    missing = {step.address.path.name for step in missing_steps(plan, Store(out))}
    assert first.name in missing
    assert second.name not in missing
    run_plan(plan, out=out, reporter=Reporter())
    assert contents(out) == before


def test_who_makes_a_part_is_at_work_on_the_cell(many: TinySuite, tmp_path: Path) -> None:
    out, told = tmp_path / "out", []

    class Looking(Reporter):
        def started(self, step: Step) -> None:
            if isinstance(step, DatabaseCodes | DistanceTallies) and step.rows.start == 500:
                told.append((step.kind, dict(status_of(out).cells)))

    hashbench.run(many(500, defense="none", attack="none"), out=out, reporter=Looking())
    assert [kind for kind, _ in told] == ["codes-part", "tally"]
    assert all(cells[CellState.AT_WORK] == 1 for _, cells in told)


def test_parts_of_what_another_run_has_made_since_are_not_made(
    many: TinySuite, tmp_path: Path
) -> None:
    """It may divide the database in another way, or not at all."""
    asked = {"defense": "none", "attack": "noise"}
    hashbench.run(many(**asked), out=tmp_path / "other")

    class Late(Counter):
        def begin(self, steps: int, stored: int) -> None:
            assert steps > 3 * 3
            assert stored == 0
            shutil.copytree(tmp_path / "other/artifacts", self.out / "artifacts")

    late = Late(tmp_path / "out")
    hashbench.run(many(500, **asked), out=late.out, reporter=late)
    assert late.made == []
    assert contents(late.out) == contents(tmp_path / "other")


def test_the_record_of_a_run_does_not_name_parts(many: TinySuite, tmp_path: Path) -> None:
    """So a plan is what it was, and an earlier hashbench reads it."""
    addresses = []
    for name, part in (("a", 0), ("b", 500)):
        hashbench.run(many(part, defense="none", attack="noise"), out=tmp_path / name)
        (plan,) = (tmp_path / name / "plans").iterdir()
        addresses.append(json.loads(plan.read_text())["addresses"])
    assert addresses[0] == addresses[1]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "compute.database_part is 0, but must be 1 or more"),
        (-5, "compute.database_part is -5, but must be 1 or more"),
        (10**13, "compute.database_part is 10,000,000,000,000, but must be from 1 to"),
        (1.5, "database_part"),
        ("many", "database_part"),
        (True, "database_part"),
    ],
)
def test_what_is_no_number_of_images_is_refused(
    tiny_suite: TinySuite, value: Any, words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        tiny_suite(compute={"database_part": value})


def test_a_part_can_be_made_alone(many: TinySuite, tmp_path: Path) -> None:
    """From the model's artifact and nothing else."""
    plan, store = make_plan(many(500, defense="none")), Store(tmp_path / "out")
    (codes,) = (step for step in plan.steps if isinstance(step, ModelCodes))
    for step in (*codes.model.upstream, codes.model):
        execute(step, store, no_progress)
    heard: list[tuple[int, int]] = []
    last = codes.parts[-1]
    kind_of(last).make(last, store, lambda *news: heard.append(news))
    assert heard == [(0, 203), (203, 203)]
