"""Attacked images that a run keeps: the first ones, to the bit, and no part of any result."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.errors import FileError, UsageError
from hashbench.hashing.encode import as_images, encode
from hashbench.results.address import Address
from hashbench.results.artifacts import CODES, IMAGES, ArtifactKind
from hashbench.results.kept_images import MOST, USUAL, KeptImages, address_of_images, kept_images
from hashbench.results.store import Store
from hashbench.runner import suite_tables
from hashbench.runner.evaluation_steps import AdversarialCodes, MoreImages
from hashbench.runner.images import attacked_again
from hashbench.runner.loading import data_of, load_model, npz, read_npz
from hashbench.runner.plan import make_plan
from hashbench.runner.reporter import Reporter
from hashbench.runner.run import images_not_kept, missing_steps, run
from hashbench.runner.steps import DefendedModel, Step
from hashbench.runner.suite import Suite, from_plain

TinySuite = Callable[..., Suite]
QUERIES, BITS, SHAPE = 8, 8, (1, 8, 8)
ATTACKS = ["noise", "pgd-hamming:steps=4", "dhta:steps=3", "transfer:steps=3", "universal:epochs=1"]
OTHERS = ["random-search:queries=30", "hag:steps=3", "ranked-search:queries=20"]


class Made(Reporter):
    """Keeps what was made."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    @override
    def started(self, step: Step) -> None:
        self.steps.append(step)


def attacks_of(suite: Suite) -> list[AdversarialCodes]:
    return [step for step in make_plan(suite).steps if isinstance(step, AdversarialCodes)]


def kept(out: Path, step: AdversarialCodes) -> KeptImages | None:
    return kept_images(Store(out), step.address, SHAPE, BITS)


def files(folder: Path, *names: str) -> dict[str, bytes]:
    """Every file of these names, by its place."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.name in names
    }


RESULTS = ("codes.npz", "scores.json", "per_query.npz", "probe.json", "model.safetensors")


@pytest.mark.parametrize("pixels", ["float", "8bit"])
@pytest.mark.parametrize("batch", [3, 500])
def test_what_is_kept_is_what_was_scored(
    tiny_suite: TinySuite, tmp_path: Path, pixels: str, batch: int
) -> None:
    suite = tiny_suite(
        attack=ATTACKS + OTHERS,
        defense=["none", "bit-depth"],
        pixels=pixels,
        compute={"attack_batch": batch},
    )
    assert not run(suite, out=tmp_path).failed
    store = Store(tmp_path)
    for step in attacks_of(suite):
        found = kept(tmp_path, step)
        assert found is not None
        assert len(found) == min(USUAL, QUERIES)
        stored = read_npz(store, step, CODES)
        # All queries are kept here, so they are encoded in the very block that was scored.
        again = encode(load_model(step.codes.model, store), found.images).codes
        assert np.array_equal(again, stored["codes"])
        assert np.array_equal(found.codes, stored["codes"])
        clean = as_images(data_of(step.setting).query.images[:], torch.device("cpu")).numpy()
        change = np.abs(found.images - clean).reshape(QUERIES, -1)
        assert np.array_equal(change.max(axis=1).astype(np.float64), stored["linf"])
        if pixels == "8bit":
            levels = np.round(found.images.astype(np.float64) * 255).astype(np.uint8)
            assert np.array_equal(as_images(levels, torch.device("cpu")).numpy(), found.images)


def test_keys_plans_and_results_do_not_know_of_it(tiny_suite: TinySuite, tmp_path: Path) -> None:
    plans = [make_plan(tiny_suite(attack=ATTACKS, keep_images=n)) for n in (None, 0, 3, 8)]
    assert len({plan.name for plan in plans}) == 1
    assert len({tuple(step.key for step in plan.steps) for plan in plans}) == 1
    for n in (None, 0, 3):
        run(tiny_suite(attack=ATTACKS, keep_images=n), out=tmp_path / str(n))
    one, *others = (files(tmp_path / str(n), *RESULTS) for n in (None, 0, 3))
    assert one
    assert all(one == other for other in others)
    counts = [len(files(tmp_path / str(n), IMAGES)) for n in (None, 0, 3)]
    assert counts == [len(ATTACKS), 0, len(ATTACKS)]


def test_a_finished_run_is_left_alone_unless_images_are_asked_for(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    suite = tiny_suite(attack=ATTACKS, keep_images=0)
    run(suite, out=tmp_path)
    before = files(tmp_path, *RESULTS)
    whole = tiny_suite(attack=ATTACKS)
    assert missing_steps(make_plan(whole), Store(tmp_path)) == []
    for wanted, again in ((2, True), (1, False), (5, True), (5, False), (50, True), (8, False)):
        made = Made()
        run(replace(suite, keep_images=wanted), out=tmp_path, reporter=made)
        assert {type(step) for step in made.steps} == ({MoreImages} if again else set())
        assert len(made.steps) == (len(ATTACKS) if again else 0)
        assert files(tmp_path, *RESULTS) == before
    for step in attacks_of(suite):
        found = kept(tmp_path, step)
        assert found is not None
        assert len(found) == QUERIES  # there are no more


@pytest.mark.parametrize("batch", [1, 3, 500])
@pytest.mark.parametrize("defense", ["none", "resize-pad", "cgat"])
def test_images_that_are_made_later_are_those_that_would_have_been_kept(
    tiny_suite: TinySuite, tmp_path: Path, batch: int, defense: str
) -> None:
    compute = {"attack_batch": batch}
    suite = tiny_suite(attack=ATTACKS, defense=defense, compute=compute, keep_images=5)
    run(suite, out=tmp_path / "at-once")
    run(replace(suite, keep_images=0), out=tmp_path / "later")
    run(suite, out=tmp_path / "later")
    one, other = (files(tmp_path / name, IMAGES) for name in ("at-once", "later"))
    assert len(one) == len(ATTACKS)
    assert one == other


def test_workers_and_an_interrupted_run_keep_the_same_bytes(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    suite = tiny_suite(attack=ATTACKS, keep_images=3)
    for name, workers in (("one", 1), ("two", 2)):
        run(suite, out=tmp_path / name, workers=workers)
    expected = files(tmp_path / "one", IMAGES)
    assert files(tmp_path / "two", IMAGES) == expected
    # Images without codes, as a kill between the two leaves them; and codes without images.
    for kind in (ArtifactKind.ADVERSARIAL, ArtifactKind.IMAGES):
        shutil.copytree(tmp_path / "one", tmp_path / kind)
        for folder in (tmp_path / kind / "artifacts" / kind).iterdir():
            shutil.rmtree(folder)
        shutil.rmtree(tmp_path / kind / "artifacts" / "scores")
        run(suite, out=tmp_path / kind, workers=2)
        assert files(tmp_path / kind, IMAGES) == expected


def test_codes_that_are_mended_leave_the_images_of_a_run_that_asked_for_more(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    suite = tiny_suite(attack="noise", keep_images=6)
    run(suite, out=tmp_path)
    (step,) = attacks_of(suite)
    shutil.rmtree(tmp_path / step.address.path)
    for scores in (tmp_path / "artifacts" / "scores").iterdir():
        shutil.rmtree(scores)
    run(replace(suite, keep_images=None), out=tmp_path)
    found = kept(tmp_path, step)
    assert found is not None
    assert len(found) == 8  # more than 6: all that are usual


def test_images_of_other_codes_are_made_again_or_said_not_to_be(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    suite = tiny_suite(attack="noise", keep_images=4)
    run(suite, out=tmp_path)
    (step,) = attacks_of(suite)
    found, store = kept(tmp_path, step), Store(tmp_path)
    assert found is not None
    # Copied over from another machine, whose codes differ in a bit.
    others = KeptImages(found.images, np.where(np.eye(4, BITS), -found.codes, found.codes))
    address = address_of_images(step.address)
    store.write(address, {IMAGES: npz(others.arrays())}, {})
    assert not others.are_of(read_npz(store, step, CODES)["codes"])
    run(suite, out=tmp_path)
    again = kept(tmp_path, step)
    assert again is not None
    assert np.array_equal(again.images, found.images)
    # Now the stored codes are those of another machine: no image here is one that was scored.
    arrays = dict(read_npz(store, step, CODES))
    arrays["codes"] = np.where(np.eye(QUERIES, BITS), -arrays["codes"], arrays["codes"])
    store.write(step.address, {CODES: npz(arrays)}, {})
    before = files(tmp_path, *RESULTS)
    results = run(suite, out=tmp_path)
    assert not results.failed
    ((images, reason),) = images_not_kept(make_plan(suite), store)
    assert images.key == address.key
    assert reason.startswith("attacked again here, 4 of the first 4 queries get another code")
    assert files(tmp_path, *RESULTS) == before


@pytest.mark.parametrize("queries", [1, 37, 499, 500, 501, 1_700])
def test_whole_batches_that_fill_the_blocks_of_the_first_ones_are_attacked_again(
    tiny_suite: TinySuite, queries: int
) -> None:
    (step,) = attacks_of(tiny_suite(attack="noise"))
    setting = step.setting
    source = setting.source
    protocol = replace(source.protocol, query=queries)
    for batch in (1, 3, 32, 500, 512, 10_000):
        compute = replace(setting.compute, attack_batch=batch)
        there = replace(setting, source=replace(source, protocol=protocol), compute=compute)
        defended = step.codes.model
        assert isinstance(defended, DefendedModel)
        model = replace(defended, base=replace(defended.base, setting=there))
        for keep in {1, min(8, queries), min(500, queries), min(501, queries)}:
            asked = replace(step, codes=replace(step.codes, model=model), keep=keep)
            enough = next(
                count
                for count in range(keep, queries + 1)
                if count == queries or (count % batch == 0 and count >= -(-keep // 500) * 500)
            )
            assert attacked_again(asked) == enough


def damaged(arrays: Mapping[str, NDArray[Any]], **changes: Any) -> bytes:
    return npz({**arrays, **changes})


WHOLE: dict[str, NDArray[Any]] = {
    "images": np.full((2, *SHAPE), 0.5, np.float32),
    "codes": np.ones((2, BITS), np.int8),
}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no .npz file"),
        (b"PK\5\6" + bytes(18), "other arrays"),
        (npz({"images": WHOLE["images"]}), "other arrays"),
        (damaged(WHOLE, more=np.zeros(3)), "other arrays"),
        (damaged(WHOLE, images=np.zeros((2, 1, 8, 9), np.float32)), "expected float32"),
        (damaged(WHOLE, images=np.zeros((2, *SHAPE))), "expected float32"),
        (damaged(WHOLE, images=np.float32(0.5)), "expected float32"),
        (damaged(WHOLE, codes=np.ones((3, BITS), np.int8)), "expected int8"),
        (damaged(WHOLE, images=WHOLE["images"] + 1), "no run can have kept"),
        (damaged(WHOLE, images=WHOLE["images"] * np.float32("nan")), "no run can have kept"),
        (damaged(WHOLE, codes=0 * WHOLE["codes"]), "no run can have kept"),
        (npz({name: array[:0] for name, array in WHOLE.items()}), "0 images"),
        (npz({name: array.repeat(600, axis=0) for name, array in WHOLE.items()}), "bytes"),
    ],
)
def test_what_no_run_can_have_kept_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    Store(tmp_path).write(address_of_images(_address()), {IMAGES: content}, {})
    with pytest.raises(FileError, match=f"images.npz: .*{words}"):
        kept_images(Store(tmp_path), _address(), SHAPE, BITS)


def _address() -> Address:
    return Address("adversarial", "some attack", "7" * 64)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    images = rng.random((3, *SHAPE), dtype=np.float32)
    codes = rng.choice(np.array([-1, 1], np.int8), (3, BITS))
    content = npz(KeptImages(images, codes).arrays())
    Store(tmp_path).write(address_of_images(_address()), {IMAGES: content}, {})
    found = kept_images(Store(tmp_path), _address(), SHAPE, BITS)
    assert found is not None
    assert np.array_equal(found.images, images)
    assert np.array_equal(found.codes, codes)
    assert npz(found.arrays()) == content


@pytest.mark.parametrize("wrong", [-1, 1_001, 10**30])
def test_numbers_out_of_range_are_refused(wrong: int) -> None:
    with pytest.raises(UsageError, match="must be from 0 to 1,000"):
        from_plain({"keep_images": wrong}, "the suite")


def test_the_numbers_that_are_written_twice_agree() -> None:
    assert suite_tables.MAX_IMAGES == MOST
    assert from_plain({}, "the suite").keep_images is None


def test_scores_need_no_images(tiny_suite: TinySuite) -> None:
    plan = make_plan(tiny_suite(attack=ATTACKS, keep_images=2))
    assert len(plan.images) == len(ATTACKS)
    keys = {step.key for step in plan.images}
    assert not any(step.key in keys for step in plan.steps)
