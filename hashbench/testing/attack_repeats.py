"""Checks that the same question gets the same answer: seeds, batches, orders, devices."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

import torch
from torch import Tensor

from hashbench.testing.attack_answers import USABLE
from hashbench.testing.case import ordinary
from hashbench.testing.checking import Check, check, require, skip_unless
from hashbench.testing.stage import AttackStage, Trial

CLOSE = 1e-5
"""Pixels nearer than this count as equal: rounding differs with the size of a batch."""

SHARE = 0.99
"""So many pixels have to be; a sign at a gradient near 0 may turn with the rounding."""

OTHER_SEEDS = (100, 200, 300, 400, 500)
"""First of other seeds: what is drawn out of few may come out the same by chance, as a majority of
nine codes does, but not five times."""

ONE_CHUNK = (range(7),)
CHUNKS = (range(3), range(3, 7))
SINGLES = tuple(range(i, i + 1) for i in range(7))


@check("same-seed", "the same seeds give the same answer, bit for bit", needs=USABLE)
def same_seed(stage: AttackStage) -> None:
    again = stage.call(ordinary())
    require(
        torch.equal(again.answer, stage.usual.answer),
        "a second call with the same seeds gave another answer: draw from rng, keep no state",
    )


@check("other-seed", "where it draws, other seeds make a difference", needs=["same-seed"])
def other_seed(stage: AttackStage) -> None:
    skip_unless(stage.usual.drawn, "draws nothing")
    require(
        any(_differs(stage, first) for first in OTHER_SEEDS),
        "it draws random numbers, but with other seeds it shows the model the same images and "
        "gives the same answer",
    )


def _differs(stage: AttackStage, first: int) -> bool:
    """Whether seeds from `first` on give another question or another answer."""
    other = stage.call(ordinary(), seeds=range(first, first + 7))
    # Descents from two starts may end in one corner of the ball.
    return other.asked != stage.usual.asked or not torch.equal(other.answer, stage.usual.answer)


@check("leaves-global-rng-alone", "all that it draws comes from rng", needs=["answers"])
def leaves_global_rng_alone(stage: AttackStage) -> None:
    touched = stage.usual.touched
    require(
        not touched,
        f"it draws from, or seeds, the process-wide generator of {' and '.join(touched)}: "
        "draw from rng",
    )


@check(
    "batch-split",
    "7 queries together, as 3 + 4 and one by one get the same answers",
    needs=["same-seed", "batch-of-one"],
)
def batch_split(stage: AttackStage) -> None:
    for chunks, how in ((CHUNKS, "3 + 4"), (SINGLES, "7 x 1")):
        trials = [
            stage.call(ordinary().rows(torch.tensor(list(chunk))), seeds=list(chunk))
            for chunk in chunks
        ]
        _require_same(
            stage.usual,
            torch.cat([trial.images for trial in trials]),
            torch.cat([trial.codes for trial in trials]),
            f"as {how} queries it gives other answers than together: let no query's loss or step "
            "depend on the others, and sum, never average, over the batch",
        )


@check(
    "row-order",
    "queries in another order get the same answers, in that order",
    needs=["batch-split"],
)
def row_order(stage: AttackStage) -> None:
    order = torch.arange(6, -1, -1)
    trial = stage.call(ordinary().rows(order), seeds=order.tolist())
    _require_same(
        stage.usual,
        trial.images[order],
        trial.codes[order],
        "queries in the opposite order get other answers",
    )


@check("other-device", "on a GPU it answers there, near to what it answers on a CPU", needs=USABLE)
def other_device(stage: AttackStage) -> None:
    skip_unless(torch.cuda.is_available(), "no GPU here")
    trial = stage.call(ordinary().to("cuda"))
    require(
        trial.answer.device.type == "cuda",
        f"for images on a GPU it returned a tensor on {trial.answer.device}",
    )
    require(trial.answer.shape == trial.case.images.shape, "on a GPU its answer has another shape")


def _require_same(usual: Trial, images: Tensor, codes: Tensor, sentence: str) -> None:
    near = ((images - usual.images).abs() <= CLOSE).double().mean()
    same = bool((codes == usual.codes).all())
    found = f"{100 * float(near):.1f} % of the pixels agree, codes {'do' if same else 'do not'}"
    require(float(near) >= SHARE and same, f"{sentence} ({found})")


REPEATS: tuple[Check[AttackStage], ...] = (
    same_seed,
    other_seed,
    leaves_global_rng_alone,
    batch_split,
    row_order,
    other_device,
)
