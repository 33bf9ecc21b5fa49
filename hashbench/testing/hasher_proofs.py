"""Checks of what a fixed hash proves of itself: held against files of small boxes."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from hashbench.matching.contract import Proof
from hashbench.testing.checking import Check, NotTriedError, check, require
from hashbench.testing.hasher_stage import SIZES, HasherStage, Pixels, box_of, like_a_photograph
from hashbench.testing.surroundings import own_random_state

STEPS: Final = (1, 3)
"""Radii of the boxes that a proof is tried on, in steps of 8 bits."""


@check(
    "proof",
    "its proof gives whole numbers of 0 to bits, and 0 where the box is one picture",
    needs=["answers"],
    method="proof",
)
def proof(stage: HasherStage) -> None:
    picture = stage.usual
    found = _proof(stage, picture)
    at_all = stage.most_turned(found, picture, np.zeros_like(picture), np.full_like(picture, 255))
    still = stage.most_turned(found, picture, picture, picture)
    require(
        still == 0,
        f"it says that {still} bits may turn where the box is the picture alone, and {at_all} in "
        "the box of all pictures",
    )


@check(
    "proof-holds",
    "no picture of a box turns more bits than it says",
    needs=["proof", "repeats"],
    method="proof",
)
def proof_holds(stage: HasherStage) -> None:
    for size in (SIZES[0], SIZES[2]):
        picture = like_a_photograph(*size, seed=2)
        found = _proof(stage, picture)
        clean = stage.code(picture)
        for words, (lowest, highest) in _boxes(picture):
            bound = stage.most_turned(found, picture, lowest, highest)
            if bound == stage.plugin.bits:
                continue
            turned = max(
                int((stage.code(file) != clean).sum())
                for file in stage.files(picture, lowest, highest)
            )
            require(
                turned <= bound,
                f"{words} of a picture of {size[0]} x {size[1]} pixels a file turns {turned} bits, "
                f"and it says that at most {bound} can: the proof is unsound",
            )


def _boxes(picture: Pixels) -> Iterator[tuple[str, tuple[Pixels, Pixels]]]:
    for steps in STEPS:
        yield f"within {steps}/255", box_of(picture, steps)
    lowest, highest = picture.copy(), picture.copy()
    half = picture.shape[1] // 2
    highest[:, :half] = box_of(picture, 4)[1][:, :half]
    lowest[:, half:] = box_of(picture, 2)[0][:, half:]
    yield "in a box with one half up and the other down", (lowest, highest)


@check(
    "proof-grows",
    "of a larger box it says no smaller number",
    needs=["proof"],
    method="proof",
)
def proof_grows(stage: HasherStage) -> None:
    picture = stage.usual
    found = _proof(stage, picture)
    bounds = [
        stage.most_turned(found, picture, *box_of(picture, steps)) for steps in (0, 1, 2, 4, 255)
    ]
    require(
        bounds == sorted(bounds),
        f"at 0, 1, 2, 4 and 255 steps it says {', '.join(map(str, bounds))}: what holds in a box "
        "holds in the smaller ones within it",
    )


@check(
    "proof-leaves-pictures-alone",
    "its proof does not change what it is given in place",
    needs=["proof"],
    method="proof",
)
def proof_leaves_pictures_alone(stage: HasherStage) -> None:
    picture = stage.usual
    found = _proof(stage, picture)
    given = (picture.copy(), *box_of(picture, 1))
    before = [one.copy() for one in given]
    with own_random_state():
        found.most_turned(*given)
    require(
        all(np.array_equal(*pair) for pair in zip(given, before, strict=True)),
        "most_turned() changes a picture in place",
    )


def _proof(stage: HasherStage, picture: Pixels) -> Proof:
    """The proof for a picture; not tried where there is none."""
    found = stage.proof(*picture.shape[:2])
    if found is None:
        raise NotTriedError("no proof")
    return found


PROOFS: tuple[Check[HasherStage], ...] = (
    proof,
    proof_holds,
    proof_grows,
    proof_leaves_pictures_alone,
)
