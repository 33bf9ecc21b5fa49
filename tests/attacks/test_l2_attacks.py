"""Attacks in L2 balls, on a small network: ball, batches, seeds, sizes of steps, strength."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hashbench import plugins
from hashbench.attacking import Attacker, AttackOutcome, Eps, Norm, SignDescent, Threat, run_attack
from hashbench.attacking.answer import outermost
from hashbench.attacks import auto
from hashbench.data import PixelValues
from hashbench.hashing import HashModel, InputSpec, encode
from hashbench.plugins import Attack, Backbone, Kind
from hashbench.retrieval import average_precision
from hashbench.testing.case import grey, of_model, ordinary
from hashbench.testing.stage import AttackStage
from hashbench.testing.world import Variant
from support.knowing import known_of
from support.recorded import Recorded

Build = Callable[..., Attack]

CHEAP: dict[str, dict[str, object]] = {
    "noise": {},
    "hag": {"steps": 10},
    "pgd-hamming": {"steps": 10},
    "mainstay": {"steps": 10},
    "smooth-ap": {"steps": 10},
    "auto": {},
}
RULES: dict[str, dict[str, object]] = {
    "mi": {},
    "ni": {},
    "si-ni": {"copies": 2},
    "vmi": {"samples": 2},
    "di": {},
}
EPS = "l2:0.7"
QUERIES = 23


class Scene:
    """A small network with batch norms, its queries, and what an attacker knows of them."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            backbone = plugins.get("backbone", "small-cnn", width=4, hidden=16)
            assert isinstance(backbone, Backbone)
            self.model = HashModel(backbone.build(InputSpec(1, 12, 12, (0.4,), (0.3,))), 12)
            self.model.train()
            with torch.no_grad():
                for _ in range(20):
                    self.model(torch.rand(64, 1, 12, 12))
        self.model.eval()
        rng = np.random.default_rng(1)
        # Some pixels at 0 and 255, so that the box binds too.
        wide = rng.integers(-60, 316, (QUERIES, 1, 12, 12))
        self.pixels: NDArray[np.uint8] = np.clip(wide, 0, 255).astype(np.uint8)
        train = np.clip(rng.integers(-60, 316, (30, 1, 12, 12)), 0, 255).astype(np.uint8)
        classes = np.eye(4, dtype=np.uint8)
        self.labels, self.train_labels = (
            classes[rng.integers(0, 4, QUERIES)],
            classes[np.arange(30) % 4],
        )
        self.train_codes = encode(self.model, train).codes
        self.known = known_of(self.labels, self.train_codes, self.train_labels)

    @property
    def clean(self) -> torch.Tensor:
        return torch.from_numpy(self.pixels).float() / 255

    def run(
        self,
        attack: Attack,
        eps: str = EPS,
        batch: int = QUERIES,
        first_seed: int = 0,
        pixels: PixelValues = PixelValues.FLOAT,
    ) -> AttackOutcome:
        return run_attack(
            attack,
            self.model,
            self.pixels,
            Attacker(self.known),
            Threat(Eps.parse(eps), pixels),
            range(first_seed, first_seed + QUERIES),
            batch=batch,
        )

    def precision(self, codes: NDArray[np.int8]) -> float:
        scores = average_precision(codes, self.train_codes, self.labels, self.train_labels)
        return float(scores.mean())


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene()


def test_these_attacks_work_in_both_norms() -> None:
    both = {
        name
        for name in plugins.names(Kind.ATTACK)
        if plugins.registry(Kind.ATTACK).find(Kind.ATTACK, name).plugin.card.norms == set(Norm)
    }
    assert {*CHEAP, "p2p", "dhta", "tha", "transfer", "nag"} <= both
    assert not both & {"random-search", "ranked-search", "universal", "pros-gan", "sdha"}


@pytest.mark.parametrize("eps", ["l2:0.05", EPS, "l2:1000"])
@pytest.mark.parametrize("name", CHEAP)
def test_the_answer_stays_in_ball_and_box_and_uses_them(
    name: str, eps: str, scene: Scene, attack_named: Build
) -> None:
    attack = Recorded(attack_named(name, **CHEAP[name]))
    outcome = scene.run(attack, eps)
    threat = Threat(Eps.parse(eps))
    # The attack's own answer, before the harness would cut it.
    assert attack.images.min() >= 0
    assert attack.images.max() <= 1
    distances = threat.distance(attack.images, scene.clean)
    assert float(distances.max()) <= outermost(threat, scene.clean)
    assert np.allclose(outcome.l2, distances.numpy(), rtol=0, atol=1e-6)
    if eps == EPS:
        # Half of the pixels' room is lost to the box at most, in these images.
        assert outcome.l2.max() > 0.8 * threat.radius


@pytest.mark.parametrize("name", CHEAP)
def test_radius_0_gives_back_the_clean_codes_bit_for_bit(
    name: str, scene: Scene, attack_named: Build
) -> None:
    outcome = scene.run(attack_named(name, **CHEAP[name]), "l2:0", batch=5)
    assert np.array_equal(outcome.codes, encode(scene.model, scene.pixels).codes)
    assert not outcome.l2.any()


# auto chooses among ends, and one choice that rounding turns is another image altogether; the kit
# tries it at a model that is computed in float64.
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("name", [name for name in CHEAP if name != "auto"])
def test_a_querys_answer_does_not_depend_on_its_batch(
    name: str, batch: int, scene: Scene, attack_named: Build
) -> None:
    attack = attack_named(name, **CHEAP[name])
    whole, split = Recorded(attack), Recorded(attack)
    scene.run(whole)
    scene.run(split, batch=batch)
    # The model's sums depend on the batch in their last digits. A step on the mean over the batch
    # would be a step many times as long, a draw for the batch another point.
    differ = (whole.images - split.images).abs() > 1e-3
    assert float(differ.float().mean()) < (1e-9 if name == "noise" else 0.01)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_stays_in_the_ball_and_answers_per_query(
    rule: str, scene: Scene, attack_named: Build
) -> None:
    attack = attack_named("pgd-hamming", steps=6, rule=rule, **RULES[rule])
    whole, split = Recorded(attack), Recorded(attack)
    scene.run(whole)
    scene.run(split, batch=4)
    threat = Threat(Eps.parse(EPS))
    distances = threat.distance(whole.images, scene.clean)
    assert float(distances.max()) <= outermost(threat, scene.clean)
    differ = (whole.images - split.images).abs() > 1e-3
    assert float(differ.float().mean()) < 0.01


@pytest.mark.parametrize("name", ["noise", "pgd-hamming", "smooth-ap"])
def test_other_seeds_give_other_answers(name: str, scene: Scene, attack_named: Build) -> None:
    attack = attack_named(name, **CHEAP[name])
    one, same, other = (Recorded(attack) for _ in range(3))
    scene.run(one)
    scene.run(same)
    scene.run(other, first_seed=100)
    assert torch.equal(one.images, same.images)
    assert bool((one.images != other.images).flatten(1).any(dim=1).all())


def test_noise_is_as_long_as_the_radius_where_the_box_does_not_cut(attack_named: Build) -> None:
    case = grey()
    trial = AttackStage(attack_named("noise"), Norm.L2).call(case, eps=Eps.parse("l2:0.4"))
    lengths = trial.threat.distance(trial.answer, case.images)
    assert float((lengths - 0.4).abs().max()) < 0.4 * 2**-19 + 2**-25 * math.sqrt(192)


@pytest.mark.parametrize(("size", "share"), [(1 / 255, 1 / 8), (2 / 255, 1 / 4)])
def test_a_step_is_the_share_of_the_radius_that_its_size_is_of_8_255(
    size: float, share: float, attack_named: Build
) -> None:
    # One step from the image: as long as the step, where the box does not cut.
    attack = attack_named("pgd-hamming", steps=1, step_size=size, random_start=False)
    assert isinstance(attack, SignDescent)
    case = grey()
    trial = AttackStage(attack, Norm.L2).call(case, eps=Eps.parse("l2:0.4"))
    lengths = trial.threat.distance(trial.answer, case.images)
    wanted = torch.full_like(lengths, share * 0.4)
    torch.testing.assert_close(lengths, wanted, rtol=0, atol=1e-5)


def test_smooth_ap_lowers_the_average_precision_more_than_noise_and_auto_no_less(
    scene: Scene, attack_named: Build
) -> None:
    clean = scene.precision(encode(scene.model, scene.pixels).codes)
    noise, smooth, auto = (
        scene.precision(scene.run(attack_named(name)).codes)
        for name in ("noise", "smooth-ap", "auto")
    )
    assert smooth < min(clean, noise) - 0.1
    # Each query keeps its best, and all of smooth-ap's softness is in auto's runs.
    assert auto <= smooth + 0.02


@pytest.mark.parametrize("name", ["noise", "hag", "pgd-hamming", "smooth-ap"])
def test_answers_of_whole_pixels_lie_in_the_ball_exactly(
    name: str, scene: Scene, attack_named: Build
) -> None:
    seen: list[torch.Tensor] = []
    run_attack(
        attack_named(name, **CHEAP[name]),
        scene.model,
        scene.pixels,
        Attacker(scene.known),
        Threat(Eps.parse(EPS), PixelValues.EIGHT_BIT),
        range(QUERIES),
        batch=7,
        seen=lambda part: seen.append(part.clone()),
    )
    levels = (torch.cat(seen).double() * 255).round()
    assert torch.equal((levels / 255).float(), torch.cat(seen))
    changes = (levels - torch.from_numpy(scene.pixels).double()).flatten(1)
    assert float(changes.square().sum(dim=1).max()) <= (0.7 * 255) ** 2
    assert bool(changes.any())


def test_auto_searches_no_l2_ball_by_squares(attack_named: Build) -> None:
    """A query that no gradient moves has the first run behind it, and its start to choose from."""
    masked = of_model(Variant(ordinary().model, lambda logits, _: logits.detach() + 0 * logits))
    trials = {}
    for norm in Norm:
        stage = AttackStage(attack_named("auto"), norm)
        trials[norm] = stage.call(masked, eps=stage.radii.strong)
    first = 1 + auto.RUNS[0].passes
    assert trials[Norm.L2].forwards <= first * len(masked.images) < trials[Norm.LINF].forwards
    change = trials[Norm.L2].answer - masked.images
    moved = change.flatten(1).any(dim=1)
    # Drawn, not climbed: in no direction that the queries share.
    assert bool(moved.any())
    assert trials[Norm.L2].stays
