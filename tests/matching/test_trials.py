"""An attack meets a fixed hash: files in the box, judged as read again; thresholds in closed form.

The hash has a bit for each row of pixels: whether its first half is brighter than its second one,
by more than the bit's own gap. Bit k turns at a radius of half the gap and a half step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from typing_extensions import override

from hashbench import plugins
from hashbench.attacking import AttackedModel
from hashbench.errors import PluginError, UsageError
from hashbench.matching.contract import Hasher
from hashbench.matching.least import least_radii
from hashbench.matching.models import ReplicaModel, VerdictModel, in_8_bits
from hashbench.matching.pictures import Picture
from hashbench.matching.trials import (
    Meeting,
    nearest_of,
    nearest_strangers,
    written_and_read,
)
from hashbench.plugins import Access, Attack, Kind, hasher

ROWS, COLUMNS = 8, 4
BITS = ROWS


class _Halves(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        grey = images.sum(dim=1) * 255
        return grey[:, :, :2].sum(dim=2) - grey[:, :, 2:].sum(dim=2)


@hasher("halves")
@dataclass(frozen=True)
class Halves(Hasher):
    """Whether each row's first half is brighter than its second."""

    threshold: int = 2
    has_replica: bool = True

    @property
    @override
    def bits(self) -> int:
        return BITS

    @override
    def verdict(self, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        grey = picture.astype(np.int64).sum(axis=2)
        found: NDArray[np.bool_] = grey[:, :2].sum(axis=1) > grey[:, 2:].sum(axis=1)
        return found

    @override
    def replica(self, height: int, width: int) -> nn.Module | None:
        return _Halves() if self.has_replica else None


def picture(gaps: list[int], *, middle: int = 120, real: bool = False) -> Picture:
    """Row k is brighter on its left by `gaps[k]` steps in every pixel."""
    steps = np.full((ROWS, COLUMNS, 3), middle, dtype=np.int64)
    for row, gap in enumerate(gaps):
        steps[row, :2] += gap
    # The real value v + 1/512 of a step: next to a whole one.
    values = (steps * 256 + 128).astype(np.uint16) if real else steps.astype(np.uint8)
    return Picture(f"{gaps}.png", values)


GAPS = [3, 5, 7, 9, 11, 13, 15, 17]


def meeting(
    name: str,
    pictures: list[Picture],
    *,
    strangers: NDArray[np.bool_] | None = None,
    hash_: Hasher | None = None,
    **parameters: object,
) -> Meeting:
    chosen = Halves() if hash_ is None else hash_
    attack = plugins.get(Kind.ATTACK, name, **parameters)
    assert isinstance(attack, Attack)
    codes = np.stack([chosen.verdict(one.saved) for one in pictures])
    return Meeting(chosen, attack, pictures, codes, list(range(len(pictures))), strangers)


@pytest.mark.parametrize("real", [False, True])
def test_the_least_radius_is_that_of_the_bit_after_the_threshold(real: bool) -> None:
    # Three bits have to turn; the third has a gap of 7 steps, so 4 whole steps make it darker on
    # the left (7 - 8 < 0), and 3 do not (7 - 6 > 0). With real values next to whole ones, half a
    # step more than 3 brings both halves one further: 7 - 2 * 4 < 0 too.
    (found,) = least_radii(meeting("evade", [picture(GAPS, real=real)]))
    assert found.eps is not None
    assert found.trial is not None
    steps = found.eps * 255
    assert steps == 4 if not real else Fraction(3) < steps <= Fraction(57, 16)
    assert found.trial.won
    assert found.trial.distance == 3


def test_a_radius_that_is_never_enough_is_infinite() -> None:
    (found,) = least_radii(meeting("evade", [picture([200 - 90] * 8)]), radii=(1, 2))
    assert (found.eps, found.trial, found.value) == (None, None, float("inf"))


def test_an_evasion_stops_at_the_bits_that_it_needs() -> None:
    # Its first steps are of 2 and nearly 2: together they turn gaps of 7, and none of 9.
    trial, *_ = meeting("evade", [picture(GAPS)]).at(Fraction(8, 255))
    assert trial.won
    assert trial.distance == 3


def test_an_attack_stops_as_soon_as_it_is_beyond() -> None:
    found = meeting("evade", [picture(GAPS)])
    assert found.model is not None
    asked = AttackedModel(found.model)
    images = torch.from_numpy(found.pictures[0].image())[None]
    attack = found.attack
    assert _passes(asked, attack, images, Fraction(60, 255)) < 80
    assert _passes(asked, attack, images, Fraction(1, 255)) == 80


def _passes(asked: AttackedModel, attack: Attack, images: Tensor, eps: Fraction) -> int:
    from hashbench.attacking import Eps, Goal, Known, QueryRandom, Threat

    rows = torch.zeros(1, 1)
    known = Known(labels=rows, center_codes=rows, train_codes=rows, train_labels=rows)
    goal = Goal("evade", known, with_labels=False, with_training=False)
    before = asked.forwards
    threat = Threat(Eps(fraction=eps, text=str(eps)))
    attack.perturb(asked, images, goal, threat, QueryRandom([0], images.device))
    return asked.forwards - before


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("evade", {}),
        ("pgd-hamming", {"steps": 20}),
        ("hag", {"steps": 20}),
        ("mainstay", {"steps": 20}),
        ("smooth-ap", {"steps": 20}),
        ("noise", {}),
        ("random-search", {"queries": 30}),
        ("ranked-search", {"queries": 30}),
        ("evade-by-distance", {"queries": 30}),
    ],
)
def test_every_file_lies_in_its_box_and_counts_as_it_is_read_again(
    name: str, parameters: dict[str, object]
) -> None:
    pictures = [picture(GAPS), picture(GAPS[::-1], real=True), picture([4] * 8, middle=2)]
    found = meeting(name, pictures, **parameters)
    eps = Fraction(27, 10) / 255
    for one, trial, code in zip(pictures, found.at(eps), found.codes, strict=True):
        lowest, highest = one.box(eps)
        assert ((lowest <= trial.saved) & (trial.saved <= highest)).all()
        again = written_and_read(trial.saved)
        assert (again == trial.saved).all()
        assert trial.distance == (found.hasher.verdict(again) != code).sum()
        assert trial.won == (trial.distance > found.hasher.threshold)


@pytest.mark.parametrize(("name", "most"), [("evade-by-distance", 40), ("evade", None)])
def test_queries_are_counted_for_each_picture_and_within_the_budget(
    name: str, most: int | None
) -> None:
    parameters = {} if most is None else {"queries": most}
    pictures = [picture(GAPS), picture([110] * 8)]
    near, far = meeting(name, pictures, **parameters).at(Fraction(30, 255))
    if most is None:
        assert near.queries is None
        assert far.queries is None
    else:
        assert near.won
        assert not far.won
        assert near.queries is not None
        assert near.queries < most
        assert far.queries == most


@pytest.mark.parametrize("name", ["collide", "collide-by-distance", "p2p"])
def test_a_collision_leads_to_the_strangers_code(name: str) -> None:
    stranger = np.array([[False] * 8])
    found = meeting(name, [picture([3] * 8)], strangers=stranger)
    lost, won = (found.at(Fraction(steps, 255))[0] for steps in (1, 8))
    assert not lost.won
    assert lost.distance == 8
    assert won.won
    assert won.distance <= 2


@pytest.mark.parametrize("name", ["evade", "evade-by-distance", "noise"])
def test_trials_are_the_same_whatever_the_batch(name: str) -> None:
    pictures = [picture([gap + extra for gap in GAPS]) for extra in range(5)]
    found, eps = meeting(name, pictures), Fraction(4, 255)
    alone = [found.at(eps, [row])[0] for row in range(5)]
    for together in (1, 2, 5):
        for one, other in zip(alone, found.at(eps, together=together), strict=True):
            assert (one.saved == other.saved).all()
            assert one.distance == other.distance


def test_what_cannot_be_met_is_refused_with_a_remedy() -> None:
    blind = Halves(has_replica=False)
    with pytest.raises(UsageError, match="no differentiable copy: take one that asks for dist"):
        meeting("evade", [picture(GAPS)], hash_=blind)
    assert meeting("evade-by-distance", [picture(GAPS)], hash_=blind).is_black_box
    with pytest.raises(UsageError, match="trains a network first"):
        meeting("pros-gan", [picture(GAPS)])
    with pytest.raises(UsageError, match="these need them"):
        meeting("collide", [picture(GAPS)])
    with pytest.raises(UsageError, match="one size"):
        meeting("evade", [picture(GAPS), Picture("large", np.zeros((ROWS, 9, 3), np.uint8))])
    with pytest.raises(UsageError, match="rise"):
        least_radii(meeting("evade", [picture(GAPS)]), radii=(2, 1))


def test_the_nearest_stranger_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(5)
    codes = rng.random((60, 24)) < 0.5
    codes[7] = codes[3]
    groups = np.arange(60) // 2
    found, others = nearest_strangers(codes, 6, groups), nearest_of(codes[:20], codes[20:], 6)
    distances = (codes[:, None] != codes[None]).sum(axis=2)
    for row in range(60):
        may = [j for j in range(60) if groups[j] != groups[row] and distances[row, j] > 6]
        assert found[row] == min(may, key=lambda j: (distances[row, j], j))
    for row in range(20):
        may = [j for j in range(20, 60) if distances[row, j] > 6]
        assert others[row] + 20 == min(may, key=lambda j: (distances[row, j], j))
    assert (nearest_strangers(codes, 24) == -1).all()
    assert (nearest_strangers(codes[:1], 0) == -1).all()


def test_a_model_of_the_replica_says_what_the_library_says() -> None:
    chosen = Halves()
    images = torch.rand(6, 3, ROWS, COLUMNS, generator=torch.Generator().manual_seed(2))
    images[0] = 0.5  # every value is exactly 0: a bit of 0
    copy, library = ReplicaModel(chosen, _Halves()), VerdictModel(chosen)
    assert (copy.codes(images) == library.codes(images)).all()
    assert (library.codes(images)[0] == -1).all()
    assert (copy.bits, copy.threshold) == (8, 2)
    assert AttackedModel(copy).threshold == 2
    sizes = copy.logits(images[1:]).abs().mean(dim=1)
    assert torch.allclose(sizes, torch.ones(5), atol=1e-5)  # float32 sums of 8 numbers


def test_files_are_rounded_half_up() -> None:
    levels = torch.tensor([0.0, 0.49, 0.5, 1.5, 254.51, 255.0]).view(1, 1, 1, 6) / 255
    assert in_8_bits(levels).ravel().tolist() == [0, 0, 1, 2, 255, 255]


def distances_of(asked: AttackedModel, images: Tensor) -> Callable[[], Tensor]:
    return lambda: asked.distances(images, torch.ones(len(images), 8))


def test_distances_are_counted_and_are_those_of_the_codes() -> None:
    asked = AttackedModel(VerdictModel(Halves()), "mine", Access.DISTANCES)
    images = torch.rand(5, 3, ROWS, COLUMNS, generator=torch.Generator().manual_seed(3))
    from_first = asked.distances_from(images[:1].expand(5, -1, -1, -1))
    codes = VerdictModel(Halves()).codes(images)
    assert from_first(images).tolist() == (codes != codes[0]).sum(dim=1).tolist()
    assert distances_of(asked, images)().tolist() == (codes == -1).sum(dim=1).tolist()
    assert asked.forwards == 15
    shut = AttackedModel(VerdictModel(Halves()), "mine", Access.RANKING)
    with pytest.raises(PluginError, match="asks for the model's distances"):
        distances_of(shut, images)()
