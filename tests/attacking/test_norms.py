"""The harness and the norm of the ball: who may attack, and what an answer may be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench import plugins
from hashbench.attacking import Attacker, AttackOutcome, Eps, Known, Norm, Threat, run_attack
from hashbench.attacking.answer import outermost
from hashbench.attacking.harness import attacked_together
from hashbench.attacking.randomness import QueryRandom
from hashbench.attacking.repeated import dependent_answers
from hashbench.attacking.square_search import square_search
from hashbench.errors import PluginError, UsageError
from hashbench.hashing import HashModel
from hashbench.plugins import Attack, attack
from support.acting import Actor

SENTENCE = "attack 'universal' works in balls of linf, but the radius l2:0.5 is of l2"


@attack("both", norms=tuple(Norm))
@dataclass(frozen=True)
class Both(Actor):
    """Does whatever a function does, and says that it does so in both norms."""


@attack("round", norms=(Norm.L2,))
@dataclass(frozen=True)
class Round(Actor):
    """Knows L2 alone."""


def named(text: str) -> Attack:
    found = plugins.get("attack", text)
    assert isinstance(found, Attack)
    return found


@pytest.mark.parametrize("call", [run_attack, attacked_together, dependent_answers])
def test_a_norm_that_no_card_names_is_refused_before_anything_is_computed(
    call: Callable[..., object], model: HashModel, pixels: NDArray[np.uint8], known: Known
) -> None:
    asked: list[int] = []
    model.register_forward_hook(lambda *_: asked.append(1))
    further = {"batch": 4} if call is run_attack else {}
    threat = Threat(Eps.parse("l2:0.5"))
    attacked, seeds = named("universal"), range(len(pixels))
    with pytest.raises(UsageError) as refusal:
        call(attacked, model, pixels, Attacker(known), threat, seeds, **further)
    assert str(refusal.value) == SENTENCE
    if call is not dependent_answers:  # which makes its own batch first
        assert not asked


def test_one_that_works_in_l2_alone_is_refused_in_l_infinity(
    run: Callable[..., AttackOutcome],
) -> None:
    still = Round(lambda _model, images, _goal: images)
    with pytest.raises(
        UsageError, match=r"attack 'round' works in balls of l2, but the radius 8/255 is of linf"
    ):
        run(still)
    assert not run(still, eps="l2:0.5").l2.any()


def reaching(length: float) -> Attack:
    """An attack whose answers lie so far away, in grey images where the box does not cut."""

    def act(_model: object, images: Tensor, _goal: object) -> Tensor:
        side = torch.where(images < 0.5, 1.0, -1.0)
        moved: Tensor = images + side * (length / images[0].numel() ** 0.5)
        return moved

    return Both(act)


def test_an_answer_may_lie_beyond_an_l2_ball_by_what_float32_rounds(
    run: Callable[..., AttackOutcome],
) -> None:
    outcome = run(reaching(0.5), eps="l2:0.5")
    assert outcome.l2 == pytest.approx(0.5, abs=1e-6)
    with pytest.raises(
        PluginError,
        match=r"attack 'both' must stay in the ball of radius l2:0\.5 \(0\.500000\), but changed "
        r"an image by 0\.500050 in l2",
    ):
        run(reaching(0.50005), eps="l2:0.5")
    # As far in L-infinity, where it is a pixel that may not move so far.
    with pytest.raises(PluginError, match=r"radius 0\.09 \(0\.090000\), but changed a pixel by"):
        run(reaching(0.5), eps="0.09")


@pytest.mark.parametrize("values", [1, 784, 3 * 224 * 224])
@pytest.mark.parametrize("eps", ["l2:0", "l2:0.5", "l2:3"])
def test_plain_float32_projections_are_in_the_ball_and_a_hair_more_is_not(
    values: int, eps: str
) -> None:
    threat = Threat(Eps.parse(eps))
    rng = torch.Generator().manual_seed(values)
    images = torch.rand(4, 1, 1, values, generator=rng)
    change = (torch.rand(images.shape, generator=rng) - images) * 1000
    lengths = change.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    found = images + change * (threat.radius / lengths)
    allowed = outermost(threat, images)
    assert float(threat.distance(found.clamp(0, 1), images).max()) <= allowed
    # Less than a thousandth of a level in each pixel, and 1e-6 of the radius.
    assert allowed - threat.radius <= 1e-3 / 255 * values**0.5 + 1e-6 * threat.radius


def test_squares_are_no_search_of_an_l2_ball() -> None:
    images = torch.rand(2, 1, 4, 4)
    with pytest.raises(UsageError, match="square_search tries corners of linf balls"):
        square_search(
            lambda point: point.flatten(1).sum(dim=1),
            images,
            Threat(Eps.parse("l2:0.5")),
            QueryRandom(range(2)),
            clean_score=torch.zeros(2),
            candidates=3,
            first_share=0.5,
        )
