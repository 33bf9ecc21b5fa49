"""Galleries out of a folder that a stranger may have written: every field is held to what it is."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hashbench.eps import Eps
from hashbench.errors import FileError
from hashbench.results.address import Address
from hashbench.results.artifacts import GALLERY, PICTURES
from hashbench.results.gallery import Gallery
from hashbench.results.kept_gallery import (
    MOST_SHOWN,
    Bounds,
    Making,
    Sources,
    StoredGallery,
    address_of_gallery,
    gallery_of,
)
from hashbench.results.pictures import png
from hashbench.results.store import Store

BOUNDS = Bounds(queries=4, database=20, bits=8, eps=Eps.parse("8/255"))
ADVERSARIAL = Address("adversarial", "an attack", "7" * 64)


def picture(value: int, channels: int = 1, side: int = 4) -> bytes:
    return png(np.full((channels, side, side), value, np.uint8))


CONTENTS = [picture(value) for value in (10, 12, 30, 40, 50)]

WHOLE: dict[str, Any] = {
    "classes": ["cat", "dog", "</script>\u202e"],
    "pictures": [len(one) for one in CONTENTS],
    "images": [
        {"place": 3, "picture": 2, "labels": [0]},
        {"place": 5, "picture": 3, "labels": [1, 2]},
        {"place": 9, "picture": 4, "labels": []},
    ],
    "exhibits": [
        {
            "labels": [0, 1],
            "clean": 0,
            "attacked": 1,
            "before": {"images": [0, 1], "distances": [0, 0]},
            "after": {"images": [2, 0], "distances": [1, 8]},
            "precision": [1.0, 0.25],
        }
    ],
}


def stored(folder: Path, facts: Any, contents: list[bytes] = CONTENTS) -> Gallery:
    """What is read of a gallery of these facts and pictures, in an artifact that is sealed."""
    store, address = Store(folder), address_of_gallery(ADVERSARIAL)
    text = facts if isinstance(facts, bytes) else json.dumps(facts).encode()
    store.write(address, {GALLERY: text, PICTURES: b"".join(contents)}, {})
    artifact = store.artifact(address)
    assert artifact is not None
    return gallery_of(artifact, BOUNDS)


def test_what_is_kept_is_what_is_read(tmp_path: Path) -> None:
    (exhibit,) = stored(tmp_path, WHOLE).exhibits
    assert exhibit.query == 0
    assert exhibit.labels == ("cat", "dog")
    assert (exhibit.clean, exhibit.attacked) == (CONTENTS[0], CONTENTS[1])
    assert exhibit.factor == 127 / 8
    assert exhibit.change == picture(round(128 + 2 * 127 / 8))
    assert exhibit.precision == (1.0, 0.25)
    first, second = exhibit.before
    assert (first.image, first.place, first.distance, first.relevant) == (CONTENTS[2], 3, 0, True)
    assert first.labels == ("cat",)
    assert second.labels == ("dog", "</script>\\u202e")
    assert second.relevant
    assert [(hit.place, hit.relevant) for hit in exhibit.after] == [(9, False), (3, True)]


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    from hashbench.records import read

    found = read(StoredGallery, WHOLE, "")
    files = found.files(CONTENTS)
    assert json.loads(files[GALLERY]) == WHOLE
    assert files[PICTURES] == b"".join(CONTENTS)
    assert stored(tmp_path, files[GALLERY]) == stored(tmp_path, WHOLE)


def test_the_factor_lets_the_largest_change_fill_the_range() -> None:
    for eps in ("1/255", "8/255", "24/255", "17/510", "1", "0.031"):
        factor = Bounds(1, 1, 1, Eps.parse(eps)).factor
        assert 0 < factor * 255 * float(Eps.parse(eps)) <= 127 + 1e-9
        assert factor * 255 * float(Eps.parse(eps)) >= 127 - 1e-9
    assert Bounds(1, 1, 1, Eps.parse("0")).factor == 1


def test_in_an_l2_ball_the_largest_change_of_the_picture_fills_it() -> None:
    clean = np.full((1, 2, 2), 100, dtype=np.uint8)
    bounds = Bounds(1, 1, 1, Eps.parse("l2:0.5"))
    for change in (1, 2, 100, -100):
        attacked = clean.copy()
        attacked[0, 0, 1] = 100 + change
        attacked[0, 1, 1] += 1
        factor = bounds.factor_of(png(clean), png(attacked))
        assert factor == 127 / abs(change)
        assert Bounds(1, 1, 1, Eps.parse("4/255")).factor_of(png(clean), png(attacked)) == 127 / 4
    assert bounds.factor_of(png(clean), png(clean)) == 1


def changed(*path: str | int, to: Any) -> Callable[[], dict[str, Any]]:
    def build() -> dict[str, Any]:
        whole = copy.deepcopy(WHOLE)
        at: Any = whole
        for name in path[:-1]:
            at = at[name]
        if to is None:
            del at[path[-1]]
        else:
            at[path[-1]] = to
        return whole

    return build


FIRST = ("exhibits", 0)
RANKING = {"images": [0, 1], "distances": [0, 0]}


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        *(
            (changed(*path, to=None), "lacks|sum")
            for path in [(name,) for name in WHOLE]
            + [("images", 0, name) for name in WHOLE["images"][0]]
            + [(*FIRST, name) for name in WHOLE["exhibits"][0]]
            + [(*FIRST, "before", name) for name in RANKING]
        ),
        *(
            (changed(*path, to=wrong), "expected|number|query|queries|lacks")
            for path in [(name,) for name in WHOLE]
            + [("images", 0, name) for name in WHOLE["images"][0]]
            + [(*FIRST, name) for name in WHOLE["exhibits"][0]]
            + [(*FIRST, "before", name) for name in RANKING]
            for wrong in ("text", 1.5, True, {"a": 1}, [[1]])
        ),
        (changed("exhibits", to=[]), "0 queries"),
        (changed("exhibits", to=WHOLE["exhibits"] * (MOST_SHOWN + 1)), "101 queries"),
        (changed("exhibits", to=WHOLE["exhibits"] * 5), "more queries than there are"),
        (changed("classes", 0, to="x" * 300), "200 characters"),
        (changed("classes", to=["cat"]), "no class"),
        (changed("pictures", 0, to=0), "too large, or empty"),
        (changed("pictures", 0, to=-1), "too large, or empty"),
        (changed("pictures", 0, to=2**40), "too large, or empty"),
        (changed("pictures", to=[1] * 6), "more pictures than it shows"),
        (changed("pictures", to=[1] * 4), "no picture"),
        (changed("images", to=[WHOLE["images"][0]] * 21), "more images than it shows"),
        (changed("images", to=[WHOLE["images"][0]] * 3), "database twice"),
        (changed("images", 0, "place", to=-1), "database does not have"),
        (changed("images", 2, "place", to=20), "database does not have"),
        (changed("images", 2, "place", to=10**30), "database does not have"),
        (changed("images", 0, "picture", to=5), "no picture"),
        (changed("images", 0, "picture", to=-1), "no picture"),
        (changed("images", 0, "labels", to=[3]), "no class"),
        (changed("images", 0, "labels", to=[-1]), "no class"),
        (changed("images", 0, "labels", to=[0, 0]), "class twice"),
        (changed("images", 0, "labels", to=[1, 0]), "class twice"),
        (changed(*FIRST, "labels", to=[7]), "no class"),
        (changed(*FIRST, "clean", to=5), "no picture"),
        (changed(*FIRST, "attacked", to=-5), "no picture"),
        (changed(*FIRST, "precision", to=[1.0]), "average precision"),
        (changed(*FIRST, "precision", to=[1.0, 0.5, 0.5]), "average precision"),
        (changed(*FIRST, "precision", to=[1.0, 1.5]), "average precision"),
        (changed(*FIRST, "precision", to=[-0.1, 0.5]), "average precision"),
        (changed(*FIRST, "precision", to=[float("nan"), 0.5]), "average precision"),
        (changed(*FIRST, "precision", to=[0.5, float("inf")]), "average precision"),
        (changed(*FIRST, "before", to={"images": [], "distances": []}), "before than after"),
        (changed(*FIRST, "before", to={"images": [0, 1], "distances": [0]}), "nothing, or too"),
        (changed(*FIRST, "before", "images", to=[0, 3]), "no image"),
        (changed(*FIRST, "before", "images", to=[1, 0]), "no order"),
        (changed(*FIRST, "before", "images", to=[0, 0]), "no order"),
        (changed(*FIRST, "before", "distances", to=[1, 0]), "no order"),
        (changed(*FIRST, "before", "distances", to=[-1, 0]), "distance"),
        (changed(*FIRST, "before", "distances", to=[0, 9]), "distance"),
    ],
)
def test_what_no_run_can_have_kept_is_refused(
    tmp_path: Path, facts: Callable[[], dict[str, Any]], words: str
) -> None:
    with pytest.raises(FileError, match=f"{GALLERY}: .*({words})"):
        stored(tmp_path, facts())


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff", b"[", b"[]", b"null", b"[" * 100_000, b"[" + b"1," * 300_000 + b"1]", b"1e999"],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(FileError, match=f"{GALLERY}: "):
        stored(tmp_path, content)


def test_searches_of_nothing_are_refused(tmp_path: Path) -> None:
    facts = copy.deepcopy(WHOLE)
    for name in ("before", "after"):
        facts["exhibits"][0][name] = {"images": [], "distances": []}
    with pytest.raises(FileError, match="nothing, or too much"):
        stored(tmp_path, facts)


@pytest.mark.parametrize(
    ("number", "content", "words"),
    [
        (0, b"GIF89a", "no PNG"),
        (2, CONTENTS[2] + b"<script>", "other parts"),
        (2, picture(1, side=65), "65 x 65"),
        (0, picture(1, side=225), "225 x 225"),
        (0, picture(1, side=5), "do not fit together"),
        (0, picture(1, channels=3), "do not fit together"),
    ],
)
def test_pictures_that_may_not_be_shown_are_refused(
    tmp_path: Path, number: int, content: bytes, words: str
) -> None:
    contents = [*CONTENTS[:number], content, *CONTENTS[number + 1 :]]
    facts = {**WHOLE, "pictures": [len(one) for one in contents]}
    with pytest.raises(FileError, match=f"{PICTURES}: .*{words}"):
        stored(tmp_path, facts, contents)


def test_pictures_of_another_length_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=f"{PICTURES}: .*as long as"):
        stored(tmp_path, WHOLE, CONTENTS[:-1])
    with pytest.raises(FileError, match=f"{PICTURES}: "):
        stored(tmp_path, WHOLE, [*CONTENTS, b"more"])


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "text",
        {},
        {"of": {"codes": "x"}, "queries": 1, "kept": 1},
        {"of": {}, "queries": "1", "kept": 1},
        {"of": {"images": 7}, "queries": 1, "kept": 1},
    ],
)
def test_a_record_that_says_nothing_of_its_making_is_refused(tmp_path: Path, wrong: Any) -> None:
    store, address = Store(tmp_path), address_of_gallery(ADVERSARIAL)
    store.write(address, {}, {"shows": wrong})
    artifact = store.artifact(address)
    assert artifact is not None
    with pytest.raises(FileError, match="its record: "):
        Making.read(artifact)


def test_codes_that_are_others_contradict_and_missing_ones_do_not() -> None:
    made = Sources("a" * 64, "b" * 64, "c" * 64)
    assert not made.contradict(made)
    assert not made.contradict(Sources())
    assert not made.contradict(Sources(images="d" * 64))  # images are kept anew, codes are not
    assert made.contradict(Sources(codes="d" * 64))
    assert made.contradict(Sources("a" * 64, "d" * 64))
