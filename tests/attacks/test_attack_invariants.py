"""What must hold of every attack, whatever it is good for: ball, box, eps 0, batches, seeds.

Run through the harness, on a small network with batch norm (so that eval mode matters) and on a
linear hash (where the order of float sums cannot hide an error).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hashbench import plugins
from hashbench.attacking import Attacker, AttackOutcome, Eps, Threat, run_attack
from hashbench.hashing import HashModel, InputSpec, encode
from hashbench.plugins import Attack, Backbone
from hashbench.retrieval import center_codes
from support.knowing import known_of
from support.recorded import Recorded

Build = Callable[..., Attack]
Linear = Callable[..., HashModel]

ATTACKS = ("noise", "pgd-hamming", "mainstay", "hag", "hag@sigir", "sdha")
GRADIENT = ATTACKS[1:]
RANDOM_START = ("pgd-hamming", "mainstay")
STOCHASTIC = ("noise", *RANDOM_START)
EPS = "8/255"


class Scene:
    """A model, its queries, and what an attacker knows of them."""

    def __init__(self, model: HashModel, queries: int, shape: tuple[int, ...], seed: int) -> None:
        rng = np.random.default_rng(seed)
        self.model = model
        # Some pixels at 0 and 255, so that the box binds too.
        wide = rng.integers(-60, 316, (queries, *shape))
        self.pixels: NDArray[np.uint8] = np.clip(wide, 0, 255).astype(np.uint8)
        train = np.clip(rng.integers(-60, 316, (30, *shape)), 0, 255).astype(np.uint8)
        labels = np.eye(4, dtype=np.uint8)
        query_labels = labels[rng.integers(0, 4, queries)]
        query_labels[0] = 0  # relevant to nothing: its center code is all zero
        train_labels = labels[np.arange(30) % 4]
        codes = encode(model, train).codes
        self.known = known_of(query_labels, codes, train_labels)
        self.seeds = [7000 + query for query in range(queries)]

    @property
    def clean(self) -> torch.Tensor:
        return torch.from_numpy(self.pixels).float() / 255

    def run(self, attack: Attack, eps: str = EPS, **changed: Any) -> AttackOutcome:
        seeds = changed.get("seeds", self.seeds)
        batch = changed.get("batch", len(self.pixels))
        threat = Threat(Eps.parse(eps))
        told = Attacker(self.known)
        return run_attack(attack, self.model, self.pixels, told, threat, seeds, batch=batch)


@pytest.fixture(scope="module")
def network() -> Scene:
    """A trained-looking small CNN: its batch norms have seen data."""
    torch.manual_seed(0)
    backbone = plugins.get("backbone", "small-cnn", width=4, hidden=16)
    assert isinstance(backbone, Backbone)
    model = HashModel(backbone.build(InputSpec(1, 12, 12, (0.4,), (0.3,))), 12)
    model.train()
    with torch.no_grad():
        for _ in range(20):
            model(torch.rand(64, 1, 12, 12))
    return Scene(model.eval(), queries=37, shape=(1, 12, 12), seed=1)


@pytest.fixture(scope="module")
def linear(linear_hash: Linear) -> Scene:
    rng = torch.Generator().manual_seed(3)
    weight = torch.rand(8, 1, 5, 5, generator=rng) - 0.5
    model = linear_hash(weight, -weight.flatten(1).sum(dim=1) / 2)
    return Scene(model, queries=23, shape=(1, 5, 5), seed=2)


@pytest.mark.parametrize("eps", ["1/255", EPS, "0.031", "1"])
@pytest.mark.parametrize("name", GRADIENT)
def test_the_answer_stays_in_ball_and_box(
    name: str, eps: str, network: Scene, attack_named: Build
) -> None:
    attack = Recorded(attack_named(name, steps=12))
    outcome = network.run(attack, eps)
    radius = float(Eps.parse(eps))
    # The attack's own answer, before the harness would clip it.
    assert attack.images.min() >= 0
    assert attack.images.max() <= 1
    assert (attack.images - network.clean).abs().max() <= radius + 1e-6
    assert outcome.linf.max() > 0.9 * min(radius, 0.1), "an attack that does not move shows nothing"


@pytest.mark.parametrize("eps", ["1/255", EPS, "1"])
def test_noise_is_clipped_to_the_box(eps: str, network: Scene, attack_named: Build) -> None:
    radius = float(Eps.parse(eps))
    outcome = network.run(attack_named("noise"), eps)
    reach = torch.maximum(network.clean, 1 - network.clean).amax(dim=(1, 2, 3)).numpy()
    assert (outcome.linf <= np.minimum(radius, reach) + 1e-6).all()
    assert (outcome.linf > 0.9 * min(radius, 0.5)).all()


@pytest.mark.parametrize("name", GRADIENT)
def test_distances_are_those_of_the_returned_images(
    name: str, network: Scene, attack_named: Build
) -> None:
    attack = Recorded(attack_named(name, steps=5))
    outcome = network.run(attack)
    change = (attack.images - network.clean).double().flatten(1)
    assert np.array_equal(outcome.linf, change.abs().amax(dim=1).numpy())
    assert np.allclose(outcome.l2, change.square().sum(dim=1).sqrt().numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ATTACKS)
def test_codes_are_those_of_the_returned_images(
    name: str, network: Scene, attack_named: Build
) -> None:
    attack = Recorded(attack_named(name))
    outcome = network.run(attack, "40/255", batch=11)
    returned = Threat(Eps.parse("40/255")).project(attack.images, network.clean)
    assert np.array_equal(outcome.codes, encode(network.model, returned.numpy()).codes)
    # The last update of an attack changes some codes, so an early report would differ.
    assert (outcome.codes != encode(network.model, network.pixels).codes).any()


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("batch", [1, 5, 37])
def test_eps_0_gives_back_the_clean_codes_bit_for_bit(
    name: str, batch: int, network: Scene, attack_named: Build
) -> None:
    attack = attack_named(name, **({} if name == "noise" else {"steps": 3}))
    outcome = network.run(attack, "0", batch=batch)
    assert np.array_equal(outcome.codes, encode(network.model, network.pixels).codes)
    assert not outcome.linf.any()
    assert not outcome.l2.any()


@pytest.mark.parametrize("name", GRADIENT)
def test_no_step_leaves_the_image_where_the_attack_starts(
    name: str, network: Scene, attack_named: Build
) -> None:
    plain = {"random_start": False} if name in RANDOM_START else {}
    attack = Recorded(attack_named(name, steps=0, **plain))
    outcome = network.run(attack)
    assert torch.equal(attack.images, network.clean)
    assert outcome.backwards == 0


@pytest.mark.parametrize("name", RANDOM_START)
def test_no_step_after_a_random_start_returns_the_start(
    name: str, network: Scene, attack_named: Build
) -> None:
    attack = Recorded(attack_named(name, steps=0))
    network.run(attack)
    change = attack.images - network.clean
    inside = (network.clean > 0.05) & (network.clean < 0.95)
    drawn = change[inside] / float(Eps.parse(EPS))
    # Uniform on [-1, 1]: mean 0, variance 1/3; each within five standard errors.
    assert abs(float(drawn.mean())) < 5 * (1 / 3 / len(drawn)) ** 0.5
    assert abs(float(drawn.square().mean()) - 1 / 3) < 5 * (4 / 45 / len(drawn)) ** 0.5
    assert drawn.abs().max() <= 1 + 1e-5


def test_noise_is_one_of_the_two_ends_with_even_odds(network: Scene, attack_named: Build) -> None:
    attack = Recorded(attack_named("noise"))
    network.run(attack)
    radius = float(Eps.parse(EPS))
    low, high = (network.clean - radius).clamp(min=0), (network.clean + radius).clamp(max=1)
    signs = torch.where(attack.images == low, -1.0, 1.0)
    assert torch.equal(attack.images, torch.where(signs < 0, low, high))
    assert abs(float(signs.mean())) < 5 / signs.numel() ** 0.5


@pytest.mark.parametrize("batch", [1, 3, 7, 16])
@pytest.mark.parametrize("name", ATTACKS)
def test_a_querys_result_does_not_depend_on_its_batch(
    name: str, batch: int, linear: Scene, attack_named: Build
) -> None:
    attack = attack_named(name, **({} if name == "noise" else {"steps": 30}))
    whole, split = Recorded(attack), Recorded(attack)
    together, apart = linear.run(whole), linear.run(split, batch=batch)
    assert len(split.seen) == -(-23 // batch)
    # Draws and signs are equal to the bit; raw gradients are summed by the model in other orders.
    tolerance = 0 if name in STOCHASTIC else 1e-5
    assert torch.allclose(whole.images, split.images, rtol=0, atol=tolerance)
    assert np.array_equal(together.codes, apart.codes)
    assert (together.forwards, together.backwards) == (apart.forwards, apart.backwards)
    assert together.zero_gradients == apart.zero_gradients


@pytest.mark.parametrize("name", ATTACKS)
def test_500_queries_fare_alike_in_batches_of_37_and_at_once(
    name: str, linear: Scene, attack_named: Build
) -> None:
    # The sizes of a real run: 13 batches of 37 and a last one of 19.
    scene = Scene(linear.model, queries=500, shape=(1, 5, 5), seed=4)
    attack = attack_named(name, **({} if name == "noise" else {"steps": 15}))
    whole, split = Recorded(attack), Recorded(attack)
    together, apart = scene.run(whole, batch=500), scene.run(split, batch=37)
    assert [len(part) for part in split.seen] == [37] * 13 + [19]
    tolerance = 0 if name in STOCHASTIC else 1e-5
    assert torch.allclose(whole.images, split.images, rtol=0, atol=tolerance)
    # At the float order's mercy is only an output that is 0 up to rounding.
    assert (together.codes != apart.codes).mean() < 1e-3


@pytest.mark.parametrize("name", ATTACKS)
def test_batches_of_a_network_agree_up_to_float_order(
    name: str, network: Scene, attack_named: Build
) -> None:
    # A step on the *mean* over the batch would make an image in a batch of 37 move 7 times less
    # than in one of 5; a draw that depends on the batch would move all pixels.
    attack = attack_named(name, **({} if name == "noise" else {"steps": 10}))
    whole, split = Recorded(attack), Recorded(attack)
    network.run(whole)
    network.run(split, batch=5)
    differ = (whole.images - split.images).abs() > 1e-3
    assert differ.float().mean() < 0.01


@pytest.mark.parametrize("name", ATTACKS)
def test_the_same_seeds_give_the_same_result(
    name: str, network: Scene, attack_named: Build
) -> None:
    attack = attack_named(name, **({} if name == "noise" else {"steps": 5}))
    first, second = Recorded(attack), Recorded(attack)
    one, two = network.run(first), network.run(second)
    assert torch.equal(first.images, second.images)
    assert np.array_equal(one.codes, two.codes)


@pytest.mark.parametrize("name", ATTACKS)
def test_other_seeds_change_stochastic_attacks_and_only_those(
    name: str, network: Scene, attack_named: Build
) -> None:
    attack = attack_named(name, **({} if name == "noise" else {"steps": 5}))
    first, second = Recorded(attack), Recorded(attack)
    network.run(first)
    network.run(second, seeds=[seed + 1 for seed in network.seeds[:-1]] + [network.seeds[-1]])
    changed = (first.images != second.images).flatten(1).any(dim=1)
    assert changed[:-1].all() == changed[:-1].any() == (name in STOCHASTIC)
    assert not changed[-1], "a query's draws depend on its own seed alone"


def test_the_process_wide_random_state_is_neither_used_nor_moved(
    network: Scene, attack_named: Build
) -> None:
    for name in ATTACKS:
        attack = attack_named(name, **({} if name == "noise" else {"steps": 2}))
        torch.manual_seed(1)
        before = torch.get_rng_state()
        first = network.run(attack)
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(2)
        assert np.array_equal(first.codes, network.run(attack).codes)


@pytest.mark.parametrize(
    ("name", "forwards", "backwards"),
    [
        ("noise", 0, 0),
        ("pgd-hamming", 6, 6),
        ("mainstay", 6, 6),
        ("hag", 7, 6),
        ("hag@sigir", 7, 6),
        ("sdha", 7, 6),
    ],
)
def test_passes_are_counted_per_image(
    name: str, forwards: int, backwards: int, network: Scene, attack_named: Build
) -> None:
    # HAG and SDHA look at the clean image once; the harness's own looks do not count.
    attack = attack_named(name, **({} if name == "noise" else {"steps": 6}))
    outcome = network.run(attack, batch=10)
    assert outcome.forwards == 37 * forwards
    assert outcome.backwards == 37 * backwards
    assert attack.passes() == max(forwards, backwards)


def test_pgd_lowers_every_querys_agreement_with_its_center(
    network: Scene, attack_named: Build
) -> None:
    attack = Recorded(attack_named("pgd-hamming", steps=20))
    network.run(attack, "32/255")
    centers = network.known.center_codes
    with torch.no_grad():
        before = (network.model(network.clean) * centers).mean(dim=1)
        after = (network.model(attack.images) * centers).mean(dim=1)
    assert (after < before)[1:].all()  # query 0 has no center


@pytest.mark.parametrize("name", ["mainstay", "mainstay@bim"])
def test_mainstay_lowers_every_querys_agreement_with_its_mainstay_code(
    name: str, network: Scene, attack_named: Build
) -> None:
    known = network.known
    codes = center_codes(known.labels, known.train_codes, known.train_labels, weighting="cosine")
    # Query 0, relevant to nothing, is led to where the others are: it has a code, but no center.
    assert codes[0].any()
    attack = Recorded(attack_named(name, steps=20))
    network.run(attack, "32/255")
    mainstay = torch.from_numpy(codes).float()
    with torch.no_grad():
        before = (network.model(network.clean) * mainstay).mean(dim=1)
        after = (network.model(attack.images) * mainstay).mean(dim=1)
    assert (after < before - 0.01).all()


@pytest.mark.parametrize("name", ["pgd-hamming", "sdha"])
def test_a_query_that_is_relevant_to_nothing_is_no_error(
    name: str, network: Scene, attack_named: Build
) -> None:
    assert not network.known.center_codes[0].any()
    attack = Recorded(attack_named(name, steps=20))
    outcome = network.run(attack, "32/255")
    assert outcome.zero_gradients == pytest.approx(1 / 37)
    if name == "sdha":
        # It runs from its own clean code instead.
        with torch.no_grad():
            before = network.model(network.clean[:1])
            after = network.model(attack.images[:1])
        assert float((after * before.sign()).mean()) < float(before.abs().mean()) - 0.01


@pytest.mark.parametrize("name", ["hag", "hag@sigir"])
def test_hag_asks_for_no_label(name: str, network: Scene, attack_named: Build) -> None:
    # With every label and code turned into something else, the label-free attack does the same.
    told = network.known
    other = replace(
        told,
        labels=1 - told.labels,
        center_codes=-told.center_codes,
        train_codes=-told.train_codes,
    )
    hag = attack_named(name, steps=8)
    found = []
    for known in (told, other):
        recorded = Recorded(hag)
        run_attack(
            recorded,
            network.model,
            network.pixels,
            Attacker(known),
            Threat(Eps.parse(EPS)),
            network.seeds,
            batch=37,
        )
        found.append(recorded.images)
    assert torch.equal(*found)
    assert not hag.card.knowledge
