"""Targeted attacks: which codes they lead to, and that they get there, no farther than they may.

On a linear hash with bits on disjoint pixels it is known what an attack can do: of the bits that
differ from the target's, exactly those with a threshold below the radius can be turned to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.attacking import (
    Attacker,
    AttackOutcome,
    Eps,
    Goal,
    Known,
    NetworkSizes,
    QueryRandom,
    Threat,
    anchor_codes,
    run_attack,
)
from hashbench.attacking.training import train_attacker
from hashbench.data.images import ImageSet
from hashbench.errors import PluginError, UsageError
from hashbench.hashing import HashModel, encode, load_checkpoint
from hashbench.hashing.checkpoint import WEIGHTS, weight_bytes
from hashbench.plugins import Aim, Attack, Knowledge, TrainedAttack
from hashbench.retrieval import center_codes, mean_average_precision
from support.blobs import blobs, taught
from support.draws import process_seeded
from support.knowing import known_of

Build = Callable[..., Attack]
Linear = Callable[..., HashModel]


# Enough way to cross the ball: steps times step size, or about the rate for Adam. SDHA's own weight
# of far codes is the same for all bits of one code, so it stays.
DESCENTS: dict[str, dict[str, object]] = {
    "p2p": {"steps": 25, "step_size": "1/50"},
    "dhta": {"steps": 25, "step_size": "1/50"},
    "dhta@sigir": {"steps": 25, "step_size": "1/50"},
    "tha": {"steps": 25, "step_size": "1/50"},
    "mainstay@targeted": {"steps": 25, "step_size": "1/50"},
    "sdha@targeted": {"steps": 50},
}
BOTH_WAYS = ("mainstay", "sdha")
ROOM = 0.24
"""Images keep this distance to 0 and 1, so that the box does not bind."""


class Told(nn.Module):
    """A 'prototype network' that was told the code of every class."""

    codes: Tensor

    def __init__(self, codes: NDArray[np.int8]) -> None:
        super().__init__()
        self.register_buffer("codes", torch.from_numpy(codes).float())

    def forward(self, labels: Tensor) -> Tensor:
        # Not 0 without a label either, like a network with biases.
        prototypes: Tensor = 0.7 * (labels @ self.codes) + 0.1
        return prototypes


@dataclass(frozen=True)
class Scene:
    """Queries (Q, C, H, W) on `sign(Wx + b)`, each with a target class that has one code.

    Class i is query i's own, class Q + i its target; the last class, whose codes are the opposites
    of all others, makes each mainstay code the code of its own class.
    """

    model: HashModel
    pixels: NDArray[np.uint8]
    clean: NDArray[np.int8]
    thresholds: NDArray[np.float64]
    wanted: NDArray[np.int8]

    def attacker(self, targets: NDArray[np.uint8] | None = None) -> Attacker:
        count = len(self.pixels)
        own, target, last = np.split(np.eye(2 * count + 1, dtype=np.uint8), [count, 2 * count])
        codes = np.concatenate([self.clean, self.wanted.repeat(3, axis=0)])
        labels = np.concatenate([own, target.repeat(3, axis=0)])
        train_codes = np.concatenate([codes, -codes])
        train_labels = np.concatenate([labels, last.repeat(len(codes), axis=0)])
        wanted = target if targets is None else targets
        return Attacker(
            Known.of(own, self.clean, train_codes, train_labels, wanted),
            network=Told(np.concatenate([self.clean, self.wanted, 0 * self.clean[:1]])),
        )

    def run(
        self, attack: Attack, radius: float, attacker: Attacker | None = None, batch: int = 99
    ) -> AttackOutcome:
        assert radius < ROOM, "the box would bind"
        seeds = [50 + query for query in range(len(self.pixels))]
        threat = Threat(Eps.parse(radius))
        attacker = attacker or self.attacker()
        return run_attack(attack, self.model, self.pixels, attacker, threat, seeds, batch=batch)


def scene(linear_hash: Linear, *, queries: int, bits: int, seed: int = 0) -> Scene:
    shape = (1, 6, 6)
    rng = np.random.default_rng(seed)
    weight = np.zeros((bits, 36))
    part_of = rng.permutation(np.arange(36) % bits)
    for bit in range(bits):
        part = np.flatnonzero(part_of == bit)
        values = rng.uniform(0.5, 1.0, len(part)) * rng.choice([-1.0, 1.0], len(part))
        # ||w||_1 = 12, |z| about 1: away from saturation.
        weight[bit, part] = 12 * values / np.abs(values).sum()
    bias = -weight.sum(axis=1) / 2 + 12 * rng.choice([-1, 1], bits) * rng.uniform(0.06, 0.14, bits)
    low, high = int(np.ceil(255 * ROOM)), int(255 * (1 - ROOM))
    pixels = rng.integers(low, high + 1, (queries, *shape), dtype=np.uint8)
    logits = pixels.reshape(queries, -1) / 255.0 @ weight.T + bias
    clean = np.where(logits >= 0, 1, -1).astype(np.int8)
    return Scene(
        linear_hash(
            torch.from_numpy(weight).float().reshape(bits, *shape), torch.from_numpy(bias).float()
        ),
        pixels,
        clean,
        np.abs(logits) / 12,
        # Half of the bits have to be turned.
        clean
        * np.where((np.arange(bits) + np.arange(queries)[:, None]) % 2, 1, -1).astype(np.int8),
    )


@pytest.mark.parametrize("side", [1.01, 0.99])
@pytest.mark.parametrize("name", list(DESCENTS))
def test_a_bit_reaches_its_target_just_above_its_threshold_and_never_below(
    name: str, side: float, attack_named: Build, linear_hash: Linear
) -> None:
    case = scene(linear_hash, queries=4, bits=6)
    attack = attack_named(name, **DESCENTS[name])
    away = case.clean != case.wanted
    tried = 0
    for threshold in case.thresholds[away]:
        radius = side * float(threshold)
        if not 0.01 < radius < ROOM:
            continue
        if np.abs(case.thresholds / radius - 1).min() < 2e-3:
            continue  # another bit is so near that float32 decides
        outcome = case.run(attack, radius)
        turned = away & (case.thresholds < radius)
        assert np.array_equal(outcome.codes, np.where(turned, case.wanted, case.clean)), radius
        tried += 1
    assert tried >= 8, "the case leaves nothing to try"


@pytest.mark.parametrize("name", list(DESCENTS))
def test_a_querys_result_does_not_depend_on_its_batch(
    name: str, attack_named: Build, linear_hash: Linear
) -> None:
    case = scene(linear_hash, queries=7, bits=5, seed=3)
    # Codes of one target differ, so that anchors are a matter of what is drawn.
    known = case.attacker().known
    noisy = np.random.default_rng(1).choice([-1, 1], known.train_codes.shape).astype(np.int8)
    attacker = Attacker(
        replace(known, train_codes=torch.from_numpy(noisy).float()),
        network=Told(noisy[: known.train_labels.shape[1]]),
    )
    attack = attack_named(name, steps=7)
    whole = case.run(attack, 0.1, attacker)
    for batch in (1, 3):
        part = case.run(attack, 0.1, attacker, batch=batch)
        assert np.array_equal(part.codes, whole.codes)
        # Signs of the gradient are equal to the bit; Adam's steps carry the order of its sums.
        np.testing.assert_allclose(
            part.linf, whole.linf, rtol=0, atol=1e-5 if name == "sdha@targeted" else 0
        )
        np.testing.assert_allclose(part.l2, whole.l2, rtol=1e-5)


@pytest.mark.parametrize("name", list(DESCENTS))
def test_a_query_without_a_target_is_left_alone(
    name: str, attack_named: Build, linear_hash: Linear
) -> None:
    case = scene(linear_hash, queries=4, bits=6, seed=1)
    given = case.attacker().known.target_labels
    assert given is not None
    targets = given.numpy().astype(np.uint8)
    targets[[1, 2]] = 0
    outcome = case.run(attack_named(name, **DESCENTS[name]), 0.2, case.attacker(targets))
    idle = np.array([False, True, True, False])
    if name == "sdha@targeted":  # held at its own code
        assert np.array_equal(outcome.codes[idle], case.clean[idle])
    elif name == "mainstay@targeted":  # left at its random start
        start = case.run(attack_named(name, steps=0), 0.2, case.attacker(targets))
        assert np.array_equal(outcome.l2[idle], start.l2[idle])
    else:
        assert not outcome.linf[idle].any()
    assert (outcome.codes[~idle] != case.clean[~idle]).any(axis=1).all()


@pytest.mark.parametrize("name", BOTH_WAYS)
def test_the_two_aims_have_opposite_signs(
    name: str, attack_named: Build, linear_hash: Linear
) -> None:
    # The target's code is the query's own: one aim leaves it, the other goes deeper into it.
    case = scene(linear_hash, queries=5, bits=4, seed=2)
    case = Scene(case.model, case.pixels, case.clean, case.thresholds, case.clean)
    radius = 0.2
    settings = DESCENTS[f"{name}@targeted"]
    towards = attack_named(f"{name}@targeted", **settings)
    # SDHA untargeted all but stops at the first flip, unless all distances weigh the same.
    away = attack_named(name, **settings, **({"nearness": 0} if name == "sdha" else {}))
    assert (away.aim(), towards.aim()) == (Aim.UNTARGETED, Aim.TARGETED)
    assert np.array_equal(case.run(towards, radius).codes, case.clean)
    turned = case.run(away, radius).codes != case.clean
    assert np.array_equal(turned, case.thresholds < radius)
    assert turned.any()


@pytest.mark.parametrize("name", [*DESCENTS, "pros-gan"])
def test_the_card_and_the_aim(name: str, attack_named: Build) -> None:
    attack = attack_named(name)
    assert attack.aim() is Aim.TARGETED
    both = name.partition("@")[0] in BOTH_WAYS
    assert attack.card.aim is (Aim.UNTARGETED if both else Aim.TARGETED)
    if not both:  # a label-free one knows no label of the query
        assert attack.card.knowledge == {Knowledge.TRAINING}


def test_the_published_settings(attack_named: Build) -> None:
    def settings(name: str, *fields: str) -> tuple[object, ...]:
        return tuple(getattr(attack_named(name), field) for field in fields)

    common = ("steps", "step_size", "random_start", "alpha")
    assert settings("dhta@saat", *common, "anchors") == (2000, 1 / 255, False, "tenths", 9)
    assert settings("p2p@saat", *common) == (2000, 1 / 255, False, "tenths")
    assert settings("dhta@sigir", *common, "anchors") == (10, 1 / 255, False, "constant", 9)
    network = ("training_steps", "training_batch", "learning_rate", "softplus", "square_mask")
    trained = (*common, *network)
    sigir = (100, 1 / 255, False, "constant", 30_000, 32, 1e-4, False, True)
    assert settings("tha@sigir", *trained) == sigir
    saat = (100, 1 / 255, False, "tenths", 30_000, 128, 1e-4, True, True)
    assert settings("tha@saat", *trained) == saat
    assert settings("sdha@targeted", "slope", "nearness", "targeted") == (10.0, -0.3, True)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("dhta", "anchors", 0),
        ("tha", "training_steps", -1),
        ("tha", "training_batch", 0),
        ("tha", "learning_rate", 0.0),
        ("tha", "learning_rate", float("nan")),
        ("p2p", "steps", -1),
    ],
)
def test_what_cannot_be_is_refused(
    name: str, field: str, value: object, attack_named: Build
) -> None:
    with pytest.raises(UsageError, match=field):
        attack_named(name, **{field: value})


# --- anchors ---------------------------------------------------------------------------------


def goal_of(targets: list[list[int]], labels: list[list[int]], codes: Tensor) -> Goal:
    wanted = torch.tensor(targets).float()
    known = Known(
        labels=torch.zeros_like(wanted),
        center_codes=torch.zeros(len(wanted), codes.shape[1]),
        train_codes=codes,
        train_labels=torch.tensor(labels).float(),
        target_labels=wanted,
    )
    return Goal("dhta", known, with_labels=False, with_training=True, aim=Aim.TARGETED)


def powers(count: int, bits: int) -> Tensor:
    """Codes that are told apart by the one bit that is +1."""
    return 2 * torch.eye(count, bits) - 1


LABELS = [[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 1, 0], [1, 0, 0], [1, 0, 1], [1, 0, 0]]


def anchors(goal: Goal, count: int, seeds: range) -> Tensor:
    found: Tensor = anchor_codes(goal, count, QueryRandom(seeds))
    return found


def test_anchors_come_from_equal_label_rows_each_as_often() -> None:
    # One code per anchor: its only +1 names the training image.
    queries = 4000
    goal = goal_of([[1, 0, 0]] * queries, LABELS, powers(8, 8))
    drawn = anchors(goal, 1, range(queries)).argmax(dim=1)
    same = [i for i, row in enumerate(LABELS) if row == [1, 0, 0]]
    counts = torch.bincount(drawn, minlength=8)
    assert counts.sum() == counts[same].sum() == queries, "not what shares a label, nor another's"
    # Each 1000 on average, with a standard deviation of about 27.
    assert (counts[same] - 1000).abs().max() < 5 * 28


def test_anchors_are_drawn_without_replacement_where_there_are_enough() -> None:
    # Each code is +1 at its own bit alone: the sum of 3 distinct ones is - everywhere, and + at the
    # bit of one that is taken twice.
    goal = goal_of([[1, 0, 0]] * 300, LABELS, powers(8, 8))
    assert (anchors(goal, 3, range(300)) == -1).all()
    # The sum of two distinct ones is 0 at both their bits, and - elsewhere.
    pair = anchors(goal, 2, range(300))
    assert ((pair == 0).sum(dim=1) == 2).all()
    assert (pair <= 0).all(), "none is taken twice"


def test_fewer_codes_than_anchors_are_drawn_again() -> None:
    # Two images for three draws: one of them is taken at least twice, and decides.
    labels = [[1, 0], [0, 1], [1, 0]]
    codes = torch.tensor([[1.0, -1, 1], [1, 1, 1], [-1, 1, 1]])
    goal = goal_of([[1, 0]] * 4000, labels, codes)
    found = anchors(goal, 3, range(4000))
    first = (found == codes[0]).all(dim=1)
    second = (found == codes[2]).all(dim=1)
    assert (first ^ second).all()
    assert abs(float(first.float().mean()) - 0.5) < 5 * 0.5 / 4000**0.5
    # More draws than training images.
    single = anchors(goal_of([[0, 1]] * 3, labels, codes), 9, range(3))
    assert torch.equal(single, codes[[1, 1, 1]])


def test_ties_are_left_open_and_lonely_targets_too() -> None:
    codes = torch.tensor([[1.0, -1, 1], [1, 1, -1], [-1, -1, -1]])
    goal = goal_of([[1, 0], [0, 0], [1, 1], [0, 1]], [[1, 0], [1, 0], [0, 1]], codes)
    found = anchors(goal, 2, range(4))
    # Its two images disagree at two bits; no target; a target that no image has; one image twice.
    assert found.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0], [-1, -1, -1]]


def test_label_less_images_are_no_targets_own() -> None:
    goal = goal_of([[0, 0, 0]], LABELS, powers(8, 8))
    assert not anchors(goal, 1, range(1)).any()


# --- attacks that are trained ----------------------------------------------------------------


@dataclass(frozen=True)
class Trained:
    """A small trained model with its data and their codes."""

    model: HashModel
    train: ImageSet
    query: ImageSet
    codes: NDArray[np.int8]
    targets: NDArray[np.uint8]

    def attacker(self, network: nn.Module | None = None) -> Attacker:
        known = known_of(self.query.labels, self.codes, self.train.labels, self.targets)
        return Attacker(known, network=network)

    def t_map(self, codes: NDArray[np.int8]) -> float:
        return mean_average_precision(codes, self.codes, self.targets, self.train.labels)

    def network(self, attack: Attack, eps: str, seed: int = 0) -> nn.Module:
        assert isinstance(attack, TrainedAttack)
        with process_seeded(seed):
            return train_attacker(
                attack,
                self.model,
                self.train,
                torch.from_numpy(self.codes),
                Threat(Eps.parse(eps)),
                torch.Generator().manual_seed(seed),
                progress=lambda *_: None,
            )

    def run(self, attack: Attack, eps: str, network: nn.Module | None) -> AttackOutcome:
        count = len(self.query)
        return run_attack(
            attack,
            self.model,
            self.query.images,
            self.attacker(network),
            Threat(Eps.parse(eps)),
            range(count),
            batch=count,
        )


@pytest.fixture(scope="module")
def trained() -> Trained:
    """Three kinds of blob on 8 x 8 pixels, and a small network that hashes them."""
    rng = np.random.default_rng(0)
    train, query = blobs(rng, 120, 8), blobs(rng, 30, 8)
    with process_seeded(0):
        net = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(384, 24), nn.ReLU()
        )
        model = taught(net, 24, train, rng)
    return Trained(
        model, train, query, encode(model, train.images).codes, np.roll(query.labels, 1, axis=1)
    )


EPS = "48/255"


@pytest.mark.parametrize("name", list(DESCENTS))
def test_target_map_rises(name: str, trained: Trained, attack_named: Build) -> None:
    clean = trained.t_map(encode(trained.model, trained.query.images).codes)
    quick = {"training_steps": 40} if name == "tha" else {}
    attack = attack_named(name, **DESCENTS[name], **quick)
    network = trained.network(attack, EPS) if name == "tha" else None
    reached = trained.t_map(trained.run(attack, EPS, network).codes)
    assert clean < 0.5
    assert reached > 0.9


def test_an_untargeted_attack_may_not_read_targets(trained: Trained, attack_named: Build) -> None:
    attack = attack_named("mainstay")
    known = trained.attacker().known
    assert known.target_labels is not None
    goal = Goal("mainstay", known, True, True, aim=attack.aim())
    with pytest.raises(PluginError, match="untargeted"):
        _ = goal.target_labels


def test_prototypes_are_learned_and_each_seed_learns_its_own(
    trained: Trained, attack_named: Build
) -> None:
    attack = attack_named("tha", training_steps=40)
    networks = [trained.network(attack, EPS, seed) for seed in (0, 0, 1)]
    rows = torch.eye(3)
    codes = [network(rows).detach() for network in networks]
    assert torch.equal(codes[0], codes[1])
    assert not torch.equal(codes[0], codes[2])
    wanted = center_codes(np.eye(3, dtype=np.uint8), trained.codes, trained.train.labels)
    sure = np.abs(wanted) > 0
    assert np.array_equal(codes[0].sign().numpy()[sure], wanted[sure])


def test_a_stored_prototype_network_attacks_as_before(
    trained: Trained, attack_named: Build, tmp_path: Path
) -> None:
    attack = attack_named("tha", training_steps=5, steps=10)
    network = trained.network(attack, EPS)
    (tmp_path / WEIGHTS).write_bytes(weight_bytes(network))
    with process_seeded(99):
        assert isinstance(attack, TrainedAttack)
        fresh = attack.network(NetworkSizes((1, 8, 8), 3, 12))
    before, again = (
        trained.run(attack, EPS, one) for one in (network, load_checkpoint(tmp_path, fresh).eval())
    )
    assert np.array_equal(before.codes, again.codes)
    assert np.array_equal(before.l2, again.l2)
