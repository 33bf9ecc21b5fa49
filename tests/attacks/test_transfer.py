"""transfer and nag: attacks on a model of the attacker's own."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hashbench import plugins
from hashbench.attacking import (
    AttackedModel,
    Attacker,
    AttackOutcome,
    Eps,
    Goal,
    Known,
    OwnModel,
    QueryRandom,
    StepRule,
    SurrogateModel,
    Threat,
    anchor_codes,
    run_attack,
)
from hashbench.errors import UsageError
from hashbench.hashing import HashModel, InputSpec, encode
from hashbench.plugins import Access, Aim, Attack, Backbone, Surrogate
from support.knowing import known_of
from support.recorded import Recorded

Build = Callable[..., Attack]
Linear = Callable[..., HashModel]

Transfer: Any = importlib.import_module("hashbench.attacks.transfer").Transfer
_nag: Any = importlib.import_module("hashbench.attacks.nag")
NAG: Any = _nag.NAG
EPS = "16/255"


def network(seed: int, bits: int = 12) -> HashModel:
    torch.manual_seed(seed)
    backbone = plugins.get("backbone", "small-cnn", width=4, hidden=16)
    assert isinstance(backbone, Backbone)
    model = HashModel(backbone.build(InputSpec(1, 12, 12, (0.4,), (0.3,))), bits).train()
    with torch.no_grad():
        for _ in range(20):
            model(torch.rand(64, 1, 12, 12))
        # Balanced codes, of images as the scene's: every bit can be turned.
        model.eval()
        logits = model.logits((torch.rand(400, 1, 12, 12) * 1.47 - 0.23).clamp(0, 1))
        model.hash_layer.bias.sub_(logits.mean(dim=0)).div_(logits.std(dim=0))
        model.hash_layer.weight.div_(logits.std(dim=0).unsqueeze(1))
    return model


class Scene:
    """A victim, a surrogate with a code length of its own, queries and targets."""

    def __init__(self, victim: HashModel, surrogate: HashModel, queries: int = 13) -> None:
        rng = np.random.default_rng(5)
        wide = np.clip(rng.integers(-60, 316, (queries + 40, 1, 12, 12)), 0, 255)
        self.pixels, self.train = np.split(wide.astype(np.uint8), [queries])
        classes = np.eye(4, dtype=np.uint8)
        self.labels, train_labels = classes[np.arange(queries) % 4], classes[np.arange(40) % 4]
        self.victim = victim
        self.seeds = [300 + query for query in range(queries)]

        def seen(model: HashModel) -> Known:
            codes = encode(model, self.train).codes
            targets = classes[(np.arange(queries) + 1) % 4]
            return known_of(self.labels, codes, train_labels, targets)

        self.own = SurrogateModel(surrogate, seen(surrogate))
        self.attacker = Attacker(seen(victim), surrogate=self.own)

    def run(self, attack: Attack, eps: str = EPS, **changed: Any) -> tuple[Tensor, AttackOutcome]:
        """The attack's own answers, and what the harness makes of them."""
        recorded = Recorded(attack)
        attacker = changed.get("attacker", self.attacker)
        if attack.surrogate() is None:
            attacker = replace(attacker, surrogate=None)
        outcome = run_attack(
            recorded,
            self.victim,
            self.pixels,
            attacker,
            Threat(Eps.parse(eps)),
            self.seeds,
            batch=changed.get("batch", 64),
        )
        return recorded.images, outcome

    @property
    def clean(self) -> Tensor:
        return torch.from_numpy(self.pixels).float() / 255


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(network(1), network(2, bits=9))


@pytest.fixture(scope="module")
def mirror() -> Scene:
    """The surrogate is the victim."""
    return Scene(network(1), network(1))


@pytest.mark.parametrize("rule", list(StepRule))
def test_with_the_victim_for_surrogate_it_is_the_white_box_attack(
    rule: StepRule, mirror: Scene, attack_named: Build
) -> None:
    settings = {"rule": rule, "steps": 4, **({"samples": 3} if rule is StepRule.VMI else {})}
    transferred, one = mirror.run(Transfer(**settings))
    white_box, other = mirror.run(attack_named("pgd-hamming", **settings))
    assert torch.equal(transferred, white_box)
    assert np.array_equal(one.codes, other.codes)
    assert (one.forwards, one.backwards) == (other.forwards, other.backwards)
    assert Transfer(**settings).passes() == attack_named("pgd-hamming", **settings).passes()


def test_it_is_stronger_against_its_own_model_than_against_another(
    scene: Scene, mirror: Scene
) -> None:
    # Both victims are the same; only whose gradients are followed differs.
    def agreement(found: AttackOutcome) -> float:
        return float((found.codes * scene.attacker.known.center_codes.numpy()).mean())

    own, other = (agreement(place.run(Transfer(steps=30))[1]) for place in (mirror, scene))
    assert own < other - 0.2


@pytest.mark.parametrize("attack", [Transfer, NAG])
def test_nothing_of_the_victim_is_looked_at(attack: Any, scene: Scene) -> None:
    assert attack.card.access is Access.NONE
    plugin = attack(steps=3)
    images, outcome = scene.run(plugin)
    known = scene.attacker.known
    turned = replace(
        known,
        center_codes=-known.center_codes,
        train_codes=torch.ones_like(known.train_codes),
    )
    blinded, _ = scene.run(plugin, attacker=replace(scene.attacker, known=turned))
    assert torch.equal(images, blinded)
    # Another victim altogether gets the same images.
    other = Scene(network(7, bits=5), scene.own.model)
    assert torch.equal(images, other.run(plugin)[0])
    assert outcome.forwards == outcome.backwards == plugin.passes() * 13
    assert not torch.equal(images, scene.clean)


@pytest.mark.parametrize("attack", [Transfer, NAG])
def test_the_surrogate_is_what_its_fields_say(attack: Any) -> None:
    assert attack().surrogate() == Surrogate(None, None)
    asked = attack(backbone="resnet18", hashing_loss="dpsh").surrogate()
    assert asked == Surrogate(backbone="resnet18", loss="dpsh")


# Against a wrong NAG: every term by hand.


@dataclass(frozen=True)
class Line:
    """A linear surrogate `tanh(w . x + b)` and what NAG is told of it."""

    weight: Tensor
    bias: Tensor
    codes: Tensor
    labels: Tensor
    targets: Tensor
    images: Tensor

    def goal(self, model: HashModel, seen: AttackedModel | None = None) -> Goal:
        known = Known(
            labels=self.targets,
            center_codes=torch.zeros(len(self.images), 3),
            train_codes=self.codes,
            train_labels=self.labels,
            target_labels=self.targets,
        )
        goal = Goal("nag", known, with_labels=False, with_training=True, aim=Aim.TARGETED)
        return replace(goal, own_model=OwnModel(seen or AttackedModel(model), goal))


@pytest.fixture(scope="module")
def line() -> Line:
    rng = torch.Generator().manual_seed(4)
    weight = torch.randn(3, 1, 3, 4, generator=rng) * 0.7
    codes = torch.where(torch.rand(12, 3, generator=rng) < 0.5, -1.0, 1.0)
    rows = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 1, 1]])
    return Line(
        weight,
        -weight.flatten(1).sum(dim=1) / 2,
        codes,
        rows[torch.arange(12) % 3],
        rows[torch.tensor([0, 1, 2, 0, 1])],
        0.2 + 0.6 * torch.rand(5, 1, 3, 4, generator=rng),
    )


def by_hand(line: Line, attack: Any, radius: float, seeds: list[int]) -> tuple[Tensor, Tensor]:
    """NAG on a linear hash in float64, gradient in closed form; the codes that were drawn."""
    rng = QueryRandom(seeds)
    drawn = anchor_codes(
        Goal(
            "nag",
            Known(line.targets, line.targets, line.codes, line.labels, line.targets),
            with_labels=False,
            with_training=True,
            aim=Aim.TARGETED,
        ),
        1,
        rng,
    ).double()
    weight, bias = line.weight.double().flatten(1), line.bias.double()
    clean = line.images.double().flatten(1)
    point: Tensor = clean

    def slope(at: Tensor) -> Tensor:
        outputs = torch.tanh(at @ weight.T + bias)
        slopes: Tensor = ((outputs - drawn).sign() * (1 - outputs.square())) @ weight / 3
        return slopes

    for _ in range(attack.steps):
        if attack.noise_shape == "uniform":
            noise = rng.uniform((1, 3, 4), -attack.noise, attack.noise)
        else:
            noise = (attack.noise / 3 * rng.normal((1, 3, 4))).clamp(-attack.noise, attack.noise)
        gradient = slope(point) + attack.weight * slope(point + noise.double().flatten(1))
        point = point - attack.step_size * gradient.sign()
        point = torch.clamp(
            torch.minimum(torch.maximum(point, clean - radius), clean + radius), 0, 1
        )
    return point.view(line.images.shape), drawn


@pytest.mark.parametrize("steps", [1, 2, 9])
@pytest.mark.parametrize("noise_shape", list(_nag.NoiseShape))
@pytest.mark.parametrize(("weight", "noise"), [(1.0, 16 / 255), (0.0, 16 / 255), (40.0, 1.5)])
def test_the_loss_is_the_distance_with_and_without_noise(
    steps: int, noise_shape: str, weight: float, noise: float, line: Line, linear_hash: Linear
) -> None:
    attack = NAG(
        steps=steps, weight=weight, noise=noise, noise_shape=noise_shape, step_size=3 / 255
    )
    model = linear_hash(line.weight, line.bias)
    seeds = [10, 11, 12, 13, 14]
    threat = Threat(Eps.parse("20/255"))
    found = attack.perturb(None, line.images, line.goal(model), threat, QueryRandom(seeds))
    expected, _ = by_hand(line, attack, 20 / 255, seeds)
    assert torch.allclose(found.double(), expected, rtol=0, atol=1e-6)


def test_noise_and_weight_matter(line: Line, linear_hash: Linear) -> None:
    # Else the test above would prove nothing of them.
    threat, model = Threat(Eps.parse("20/255")), linear_hash(line.weight, line.bias)

    def found(**settings: Any) -> Tensor:
        attack = NAG(steps=9, step_size=3 / 255, **settings)
        answer: Tensor = attack.perturb(
            None, line.images, line.goal(model), threat, QueryRandom(range(5))
        )
        return answer

    plain = found(weight=0.0)
    assert not torch.equal(found(weight=40.0, noise=1.5), plain)
    shaped = found(weight=40.0, noise=1.5, noise_shape=_nag.NoiseShape.GAUSSIAN)
    assert not torch.equal(shaped, found(weight=40.0, noise=1.5))


def test_gaussian_noise_is_clipped_at_three_deviations() -> None:
    noise = _nag.NoiseShape.GAUSSIAN.draw(QueryRandom([1]), (100_000,), 0.06)
    assert noise.abs().max() == pytest.approx(0.06)
    assert float(noise.std()) == pytest.approx(0.02, rel=0.02)


def test_the_target_is_the_code_of_an_image_with_just_the_targets_labels(line: Line) -> None:
    goal = Goal(
        "nag",
        Known(line.targets, line.targets, line.codes, line.labels, line.targets),
        with_labels=False,
        with_training=True,
        aim=Aim.TARGETED,
    )
    counted = Goal(**{**vars(goal), "known": replace(goal.known, train_codes=torch.eye(12))})
    drawn = torch.stack(
        [anchor_codes(counted, 1, QueryRandom(range(5 * seed, 5 * seed + 5))) for seed in range(99)]
    )
    for query, target in enumerate(line.targets):
        allowed = (line.labels == target).all(dim=1)
        assert torch.equal(drawn[:, query].sum(dim=0) > 0, allowed)
        assert (drawn[:, query].sum(dim=1) == 1).all()


def test_a_query_stops_at_the_first_point_that_is_near_enough(scene: Scene) -> None:
    steps, near = 24, 2
    settings: dict[str, Any] = {"step_size": 2 / 255, "rule": StepRule.MI}
    path = [scene.run(NAG(steps=count, **settings))[0] for count in range(steps + 1)]
    stopped, outcome = scene.run(NAG(steps=steps, stop_distance=near, **settings))
    surrogate = scene.own
    goal = Goal(
        "nag",
        surrogate.known,
        with_labels=False,
        with_training=True,
        aim=Aim.TARGETED,
    )
    targets = anchor_codes(goal, 1, QueryRandom(scene.seeds)).numpy()
    lengths = []
    for query in range(13):
        length = next(
            count
            for count in range(1, steps + 1)
            if count == steps
            or (
                encode(surrogate.model, path[count][query, None].numpy()).codes * targets[query] < 0
            )
            .sum()
            .item()
            <= near
        )
        lengths.append(length)
        assert torch.equal(stopped[query], path[length][query]), query
    assert min(lengths) < steps, "no query came near: the case shows nothing"
    assert len(set(lengths)) > 2
    assert outcome.forwards == NAG(steps=steps, stop_distance=near, **settings).passes() * 13
    assert outcome.forwards == (2 * steps + steps - 1) * 13
    assert outcome.backwards == 2 * steps * 13


def test_a_query_without_a_target_is_left_alone(scene: Scene) -> None:
    targets = scene.own.known.target_labels
    assert targets is not None
    targets = targets.clone()
    targets[[0, 4]] = 0
    targets[7] = torch.tensor([1, 1, 0, 0])  # no training image has just these
    attacker = scene.attacker.knowing(lambda known: replace(known, target_labels=targets))
    for rule in (StepRule.BIM, StepRule.MI, StepRule.DI):
        attack = NAG(steps=5, rule=rule)
        images, _ = scene.run(attack, attacker=attacker)
        moved = (images != scene.clean).flatten(1).any(dim=1)
        assert moved.tolist() == [query not in (0, 4, 7) for query in range(13)]


def test_nag_leads_the_surrogates_codes_to_those_that_were_drawn(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Tensor] = []

    def watched(goal: Goal, count: int, rng: QueryRandom) -> Tensor:
        drawn.append(anchor_codes(goal, count, rng))
        return drawn[-1]

    monkeypatch.setattr(_nag, "anchor_codes", watched)
    model = scene.own.model
    images, _ = scene.run(NAG(), eps="32/255")
    (codes,) = (part.numpy() for part in drawn)
    before = (encode(model, scene.pixels).codes * codes).mean()
    after = (encode(model, images.numpy()).codes * codes).mean()
    assert after > before + 0.2


@pytest.mark.parametrize("name", ["weight", "noise"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_settings_that_mean_nothing_are_refused(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=name):
        NAG(**{name: value})
    with pytest.raises(UsageError, match="stop_distance"):
        NAG(stop_distance=-1)


VARIANTS = (
    Transfer(steps=6),
    Transfer(steps=6, rule=StepRule.MI),
    NAG(steps=6),
    NAG(steps=6, stop_distance=2, rule=StepRule.MI),
    NAG(steps=6, rule=StepRule.DI, noise_shape=_nag.NoiseShape.GAUSSIAN),
)


@pytest.mark.parametrize("attack", VARIANTS)
@pytest.mark.parametrize("batch", [1, 4])
def test_a_batchs_cut_changes_nothing(attack: Attack, batch: int, scene: Scene) -> None:
    whole, one = scene.run(attack)
    split, other = scene.run(attack, batch=batch)
    # Float sums of a network depend on the batch's size; where a gradient is 0 but for that, its
    # sign turns. A draw or a mean that depended on the batch would move all pixels.
    assert ((whole - split).abs() > 1e-3).float().mean() < 0.01
    assert (one.forwards, one.backwards) == (other.forwards, other.backwards)
    assert one.forwards == attack.passes() * 13


@pytest.mark.parametrize("attack", VARIANTS)
def test_eps_0_and_no_step_give_the_image(attack: Any, scene: Scene) -> None:
    images, outcome = scene.run(attack, eps="0")
    assert torch.equal(images, scene.clean)
    assert np.array_equal(outcome.codes, encode(scene.victim, scene.pixels).codes)
    images, outcome = scene.run(replace(attack, steps=0, random_start=False))
    assert torch.equal(images, scene.clean)
    assert outcome.forwards == outcome.backwards == 0
