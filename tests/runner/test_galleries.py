"""What a run keeps for the gallery of a report: the right pictures, and never at a cell's cost."""

from __future__ import annotations

import errno
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from typing_extensions import override

from hashbench import evaluate
from hashbench.errors import FileError, NoRoomError, WriteError
from hashbench.results.artifacts import CODES, GALLERY, PICTURES
from hashbench.results.cell import CLEAN
from hashbench.results.galleries import Galleries
from hashbench.results.gallery import Exhibit, Hit
from hashbench.results.kept_gallery import address_of_gallery
from hashbench.results.kept_images import USUAL, address_of_images, kept_images
from hashbench.results.load import load_results
from hashbench.results.results import Results, only, part
from hashbench.results.store import DONE, Artifact, Store
from hashbench.runner import galleries
from hashbench.runner.evaluation_steps import AdversarialCodes, Scores
from hashbench.runner.galleries import nearest_of
from hashbench.runner.loading import data_of, npz, read_npz
from hashbench.runner.plan import make_plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.run import run
from hashbench.runner.steps import Step
from hashbench.runner.suite import Suite

TinySuite = Callable[..., Suite]
ATTACKS = ["noise", "pgd-hamming:steps=4", "dhta:steps=3", "transfer:steps=3"]
QUERIES, BITS, SHAPE = 8, 8, (1, 8, 8)


class Told(Reporter):
    """Keeps what was made and said."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.notes: list[str] = []

    @override
    def started(self, step: Step) -> None:
        self.steps.append(step)

    @override
    def note(self, text: str) -> None:
        self.notes.append(text)


def attacks_of(suite: Suite) -> list[AdversarialCodes]:
    return [step for step in make_plan(suite).steps if isinstance(step, AdversarialCodes)]


def files(folder: Path) -> dict[str, bytes]:
    """Every file of every gallery, by its place; of a record all but when it was written."""
    return {
        str(path.relative_to(folder)): _timeless(path)
        for path in sorted(folder.glob("artifacts/gallery/*/*"))
    }


def _timeless(path: Path) -> bytes:
    if path.name != DONE:
        return path.read_bytes()
    record = json.loads(path.read_bytes())
    del record["written"], record["sha256"]  # the sum of all the rest
    return json.dumps(record, sort_keys=True).encode()


def pixels(content: bytes) -> NDArray[np.uint8]:
    found = np.asarray(Image.open(io.BytesIO(content)).convert("L"))
    return found[np.newaxis]


def shown(results: Results) -> dict[str, tuple[Exhibit, ...]]:
    """The exhibits of each attacked cell, by its attack."""
    found = {}
    for result in results.cells:
        gallery = results.gallery(result.cell)
        if result.cell.attack == CLEAN:
            assert gallery is None
        elif gallery is not None:
            found[result.cell.attack] = gallery.exhibits
    return found


@pytest.mark.parametrize("wanted", [None, 0, 1, 3, 50])
def test_a_gallery_shows_what_was_attacked_and_what_the_search_returns(
    tiny_suite: TinySuite, tmp_path: Path, wanted: int | None
) -> None:
    suite = tiny_suite(attack=ATTACKS, keep_images=wanted)
    results = run(suite, out=tmp_path)
    assert not results.failed
    found, store = shown(results), Store(tmp_path)
    assert len(found) == (len(ATTACKS) if wanted != 0 else 0)
    assert shown(load_results(tmp_path)) == found
    for result in results.cells:
        if result.cell.attack not in found:
            continue
        scores = next(one.scores for one in make_plan(suite).cells if one.cell == result.cell)
        assert isinstance(scores, Scores)
        step = scores.adversarial
        assert step is not None
        kept = kept_images(store, step.address, SHAPE, BITS)
        assert kept is not None
        clean, attacked = read_npz(store, step.codes, CODES), read_npz(store, step, CODES)
        data, codes = data_of(step.setting), (clean["query"], attacked["codes"])
        exhibits = found[result.cell.attack]
        assert len(exhibits) == min(USUAL if wanted is None else wanted, QUERIES)
        of_clean = next(one for one in results.cells if one.cell == result.cell.clean)
        for at, exhibit in enumerate(exhibits):
            assert exhibit.query == at
            labels = data.query.labels[at]
            assert exhibit.labels == tuple(np.array(data.classes)[labels > 0])
            rounded = np.floor(kept.images[at].astype(np.float64) * 255 + 0.5)
            assert np.array_equal(pixels(exhibit.attacked), rounded)
            assert np.array_equal(pixels(exhibit.clean), data.query.images[at : at + 1][0])
            assert exhibit.precision == (of_clean.per_query[at], result.per_query[at])
            assert exhibit.factor == 127 / 24
            moved = rounded.astype(np.float64) - data.query.images[at : at + 1][0]
            assert np.array_equal(
                pixels(exhibit.change), np.clip(np.rint(128 + 127 / 24 * moved), 0, 255)
            )
            for code, hits in zip(codes, (exhibit.before, exhibit.after), strict=True):
                check_hits(hits, code[at], clean["database"], data, labels)


def check_hits(
    hits: tuple[Hit, ...],
    code: NDArray[np.int8],
    database: NDArray[np.int8],
    data: Any,
    labels: NDArray[np.uint8],
) -> None:
    """The ten best by brute force."""
    distances = (database != code).sum(axis=1)
    order = np.argsort(distances, kind="stable")[:10].tolist()
    assert [hit.place for hit in hits] == order
    assert [hit.distance for hit in hits] == distances[order].tolist()
    for hit in hits:
        theirs = data.database.labels[hit.place]
        assert hit.relevant == bool((theirs & labels).any())
        assert hit.labels == tuple(np.array(data.classes)[theirs > 0])
        there = data.database.images[hit.place : hit.place + 1][0].astype(int)
        assert np.abs(pixels(hit.image) - there).max() <= 4  # 32 greys


def test_the_best_are_those_of_a_stable_sort() -> None:
    rng = np.random.default_rng(0)
    for bits, items, count in ((1, 50, 10), (3, 300, 10), (16, 40, 40), (8, 7, 10), (64, 1, 10)):
        database = rng.choice(np.array([-1, 1], np.int8), (items, bits))
        codes = rng.choice(np.array([-1, 1], np.int8), (5, bits))
        places, distances = nearest_of(codes, database, count)
        every = (codes[:, np.newaxis] != database).sum(axis=2)
        order = np.argsort(every, axis=1, kind="stable")[:, :count]
        assert np.array_equal(places, order)
        assert np.array_equal(distances, np.take_along_axis(every, order, axis=1))


def test_it_is_in_no_key_and_changes_no_result(tiny_suite: TinySuite, tmp_path: Path) -> None:
    plans = [make_plan(tiny_suite(attack=ATTACKS, keep_images=n)) for n in (0, 8)]
    assert len({tuple(step.key for step in plan.steps) for plan in plans}) == 1
    # The files whose hashes are in keys do not know of galleries.
    assert not any("gallery" in name for step in plans[0].steps for name in [step.label, step.kind])
    results = [
        run(tiny_suite(attack=ATTACKS, keep_images=n), out=tmp_path / str(n)) for n in (0, 8)
    ]
    assert results[0] == results[1]
    assert not files(tmp_path / "0")


def test_workers_and_interrupted_runs_keep_the_same_bytes(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    suite = tiny_suite(attack=ATTACKS, keep_images=3)
    for name, workers in (("one", 1), ("two", 2)):
        run(suite, out=tmp_path / name, workers=workers)
    expected = files(tmp_path / "one")
    assert len(expected) == 3 * len(ATTACKS)
    assert files(tmp_path / "two") == expected
    # A kill between gallery and scores; before both; and a gallery that is half written.
    for lost in (["scores"], ["scores", "gallery"], ["done"]):
        folder = tmp_path / "-".join(lost)
        shutil.copytree(tmp_path / "one", folder)
        for kind in lost:
            shutil.rmtree(folder / "artifacts" / kind, ignore_errors=True)
        if lost == ["done"]:
            for done in folder.glob("artifacts/gallery/*/done.json"):
                done.unlink()
        run(suite, out=folder)
        assert files(folder) == expected


def test_a_finished_run_without_galleries_gets_them_and_attacks_nothing(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    suite = tiny_suite(attack=ATTACKS)
    run(suite, out=tmp_path)
    expected = files(tmp_path)
    shutil.rmtree(tmp_path / "artifacts" / "gallery")
    told = Told()
    run(replace(suite, keep_images=0), out=tmp_path, reporter=told)
    assert not files(tmp_path)
    run(suite, out=tmp_path, reporter=told)
    assert files(tmp_path) == expected
    assert not told.steps
    assert not told.notes
    # What is there is left alone: not even written again.
    marks = [path.stat().st_mtime_ns for path in sorted(tmp_path.glob("artifacts/gallery/*/*"))]
    for kept in (2, None):
        run(replace(suite, keep_images=kept), out=tmp_path)
        assert marks == [
            path.stat().st_mtime_ns for path in sorted(tmp_path.glob("artifacts/gallery/*/*"))
        ]
    # Images that were deleted, too: it shows what was scored all the same.
    shutil.rmtree(tmp_path / "artifacts" / "images")
    run(suite, out=tmp_path)
    assert files(tmp_path) == expected


def test_a_run_that_keeps_more_images_shows_more(tiny_suite: TinySuite, tmp_path: Path) -> None:
    suite = tiny_suite(attack=ATTACKS[:2])
    for wanted, there in ((2, 2), (None, 2), (5, 5), (3, 5)):
        results = run(replace(suite, keep_images=wanted), out=tmp_path)
        assert {len(exhibits) for exhibits in shown(results).values()} == {there}


def test_images_of_other_codes_are_not_shown(tiny_suite: TinySuite, tmp_path: Path) -> None:
    suite = tiny_suite(attack="noise")
    run(suite, out=tmp_path)
    (step,), store = attacks_of(suite), Store(tmp_path)
    arrays = dict(read_npz(store, step, CODES))
    arrays["codes"] = -arrays["codes"]  # as of another machine, copied over
    store.write(step.address, {CODES: npz(arrays)}, {})
    assert not shown(load_results(tmp_path))
    shutil.rmtree(tmp_path / address_of_gallery(step.address).path)
    told = Told()
    assert not shown(run(suite, out=tmp_path, reporter=told))
    assert not told.notes  # nothing went wrong: there is nothing to show


def test_a_cell_outlives_a_gallery_that_cannot_be_kept(
    tiny_suite: TinySuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = tiny_suite(attack=ATTACKS[:2])

    def broken(*_: object) -> bytes:
        raise RuntimeError("no \x1b[31mpictures")

    with monkeypatch.context() as patch:
        patch.setattr(galleries, "png", broken)
        told = Told()
        assert not run(suite, out=tmp_path, reporter=told).failed
    assert told.notes == [
        r"reports will show no pictures of 2 cells, whose results are whole: no \x1b[31mpictures"
    ]
    assert not files(tmp_path)
    told = Told()
    assert len(shown(run(suite, out=tmp_path, reporter=told))) == 2
    assert not told.steps
    assert not told.notes


@pytest.mark.parametrize(("number", "full"), [(errno.ENOSPC, True), (errno.EACCES, False)])
def test_only_a_full_disk_ends_the_run(
    tiny_suite: TinySuite,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    full: bool,
) -> None:
    suite = tiny_suite(attack="noise")
    write = Store.write

    def refuses(store: Store, address: Any, *rest: Any) -> None:
        if address.kind == "gallery":
            raise WriteError(store.folder / address.path, OSError(number, "no"))
        write(store, address, *rest)

    monkeypatch.setattr(Store, "write", refuses)
    told = Told()
    if full:
        with pytest.raises(NoRoomError, match="make room"):
            run(suite, out=tmp_path, reporter=told)
        return
    assert not run(suite, out=tmp_path, reporter=told).failed
    (note,) = told.notes
    assert "cannot be written (no)" in note


def test_a_full_disk_takes_nothing_from_a_finished_run(
    tiny_suite: TinySuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = tiny_suite(attack="noise")
    run(suite, out=tmp_path)
    shutil.rmtree(tmp_path / "artifacts" / "gallery")

    def refuses(store: Store, address: Any, *_: Any) -> None:
        raise WriteError(store.folder / address.path, OSError(errno.ENOSPC, "full"))

    monkeypatch.setattr(Store, "write", refuses)
    told = Told()
    assert not run(suite, out=tmp_path, reporter=told).failed
    assert len(told.notes) == 1


@pytest.mark.parametrize("name", [GALLERY, PICTURES, "done.json"])
def test_a_damaged_gallery_is_none_and_says_why(
    tiny_suite: TinySuite, tmp_path: Path, name: str
) -> None:
    suite = tiny_suite(attack=ATTACKS[:2])
    whole = shown(run(suite, out=tmp_path / "out"))
    path = sorted((tmp_path / "out").glob(f"artifacts/gallery/*/{name}"))[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    results = load_results(tmp_path / "out")
    assert not results.failed
    assert len(shown(results)) == 1
    assert isinstance(results.gallery, Galleries)
    lost = next(
        one.cell for one in results.cells if one.cell.attack not in {CLEAN, *shown(results)}
    )
    with pytest.raises(FileError, match=rf"{path.parent.name}: {name}: .*; delete it, and the"):
        results.gallery.read(lost)
    # Another folder may have it whole; the next run mends it once it is deleted.
    run(suite, out=tmp_path / "other")
    assert shown(load_results(tmp_path / "out", tmp_path / "other")) == whole
    shutil.rmtree(path.parent)
    assert shown(run(suite, out=tmp_path / "out")) == whole


def test_nothing_is_read_before_it_is_asked_for(
    tiny_suite: TinySuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tiny_suite(attack=ATTACKS[:2]), out=tmp_path)
    asked: list[str] = []
    read = Artifact.read

    def noted(artifact: Artifact, name: str, *rest: Any) -> bytes:
        asked.append(name)
        return read(artifact, name, *rest)

    monkeypatch.setattr(Artifact, "read", noted)
    results = load_results(tmp_path)
    cells = [one.cell for one in results.cells]
    for few in (results, only(results, cells), part(results, cells[1:])):
        repr(few)
        few.leaderboard()
        assert not {GALLERY, PICTURES} & set(asked)
        assert few.gallery(cells[-1]) is not None
        assert {GALLERY, PICTURES} <= set(asked)
        asked.clear()


TWO_CHANNELS = '''
from dataclasses import dataclass, replace
import numpy as np
from hashbench.data import RetrievalData
from hashbench.plugins import dataset, get, Dataset

@dataset("two-channels")
@dataclass(frozen=True)
class Two(Dataset):
    """Two channels of the tiny data."""

    def load(self, root):
        """Twice the same."""
        data = get("dataset", "tiny").load(root)
        def twice(one):
            return replace(one, images=np.repeat(np.asarray(one.images), 2, axis=1))
        return RetrievalData(data.classes, *map(twice, (data.train, data.query, data.database)))
'''


def test_images_that_no_png_holds_have_no_gallery(tiny_suite: TinySuite, tmp_path: Path) -> None:
    plugin = tmp_path / "two.py"
    plugin.write_text(TWO_CHANNELS)
    told = Told()
    suite = tiny_suite(dataset="two-channels", plugin=[plugin], attack="noise")
    results = run(suite, out=tmp_path / "out", reporter=told)
    assert not results.failed
    assert not shown(results)
    assert not told.notes


def test_a_network_in_memory_has_galleries_where_its_results_are_kept(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.eye(3, dtype=np.uint8)[np.arange(30) % 3]
    data = {
        name: (torch.from_numpy(rng.random((30, 3, 6, 6), dtype=np.float32)), labels)
        for name in ("train", "query", "database")
    }
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(108, 8), nn.Tanh())
    kept = evaluate(net, data, attacks="pgd-hamming:steps=2", bounded=True, out=tmp_path / "out")
    ((attack, exhibits),) = shown(kept).items()
    assert attack.startswith("pgd-hamming")
    assert len(exhibits) == USUAL
    assert all(
        exhibit.labels == (hit.labels) or not hit.relevant
        for exhibit in exhibits
        for hit in exhibit.before
    )
    assert not shown(evaluate(net, data, attacks="pgd-hamming:steps=2", bounded=True))


def test_the_record_names_no_place_of_this_machine(tiny_suite: TinySuite, tmp_path: Path) -> None:
    suite = tiny_suite(attack="noise")
    run(suite, out=tmp_path)
    (step,) = attacks_of(suite)
    folder = tmp_path / address_of_gallery(step.address).path
    record = json.loads((folder / "done.json").read_text())
    assert record["kind"] == "gallery"
    assert record["shows"]["queries"] == QUERIES
    assert record["shows"]["kept"] == QUERIES
    assert str(tmp_path) not in (folder / "done.json").read_text()
    assert address_of_gallery(step.address).key != address_of_images(step.address).key
