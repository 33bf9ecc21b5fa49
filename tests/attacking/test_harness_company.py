"""What an attack brings along or is limited to: a surrogate, a network, ranked lists, passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.attacking import (
    AttackedModel,
    Attacker,
    AttackerSetup,
    Eps,
    Goal,
    Known,
    NetworkSizes,
    QueryRandom,
    SurrogateModel,
    Threat,
    run_attack,
)
from hashbench.attacking.training import train_attacker
from hashbench.data.images import ImageSet
from hashbench.errors import PluginError
from hashbench.hashing import BackboneNet, HashModel
from hashbench.plugins import Access, Aim, Attack, Surrogate, TrainedAttack, attack
from support.acting import Act, Actor

Run = Callable[..., Any]


@attack("aimer", aim=Aim.TARGETED)
@dataclass(frozen=True)
class Aimer(Actor):
    """Acts with a target."""


@attack("ranker", access=Access.RANKING, knowledge=())
@dataclass(frozen=True)
class Ranker(Actor):
    """Acts with ranked lists."""


def strike(
    one: Attack,
    model: HashModel,
    pixels: NDArray[np.uint8],
    attacker: Attacker | Known,
    **options: Any,
) -> Any:
    threat = Threat(Eps.parse("8/255"))
    seeds = range(len(pixels))
    if isinstance(attacker, Known):
        attacker = Attacker(attacker)
    return run_attack(one, model, pixels, attacker, threat, seeds, batch=4, **options)


def test_a_targeted_attack_is_told_its_targets(
    model: HashModel, pixels: NDArray[np.uint8], known: Known
) -> None:
    targets = known.labels.roll(1, dims=1)
    seen: list[Tensor] = []

    def look(_: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        seen.append(goal.target_labels)
        return images

    strike(Aimer(look), model, pixels, replace(known, target_labels=targets))
    assert torch.equal(torch.cat(seen), targets)
    with pytest.raises(PluginError, match="'aimer' is targeted, but was given no targets"):
        strike(Aimer(look), model, pixels, known)
    with pytest.raises(PluginError, match="'actor' reads the target labels, but its aim is"):
        strike(Actor(look), model, pixels, replace(known, target_labels=targets))


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        (lambda goal: goal.surrogate, "'actor' reads its surrogate, but asks for none"),
        (lambda goal: goal.trained, "'actor' reads its trained network, but has none"),
    ],
)
def test_what_was_not_brought_along_is_refused(
    what: Callable[[Goal], Any], sentence: str, run: Run
) -> None:
    def look(_: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        what(goal)
        return images

    with pytest.raises(PluginError, match=sentence):
        run(Actor(look))


def linear(bits: int, seed: int) -> HashModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return HashModel(BackboneNet(nn.Flatten(), 27, (0.5,) * 3, (0.25,) * 3), bits)


def test_a_surrogate_is_seen_with_its_own_codes_counted_and_left_as_it_was(
    model: HashModel, pixels: NDArray[np.uint8], known: Known
) -> None:
    own = linear(9, 3).train()
    rng = np.random.default_rng(8)
    signs = np.array([-1, 1], dtype=np.int8)
    centers, codes = rng.choice(signs, (11, 9)), rng.choice(signs, (20, 9))
    seen: list[tuple[Tensor, Tensor]] = []

    def look(_: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        mine = goal.surrogate
        assert not own.training
        assert not any(parameter.requires_grad for parameter in own.parameters())
        assert mine.model.bits == 9
        seen.append((mine.goal.center_codes, mine.goal.train_codes))
        assert torch.equal(mine.goal.labels, goal.labels)
        point = images.clone().requires_grad_(True)
        torch.autograd.grad(mine.model.outputs(point).sum(), point)
        return images

    mine = Known.of(known.labels.numpy(), centers, codes, known.train_labels.numpy())
    attacker = Attacker(known, surrogate=SurrogateModel(own, mine))
    outcome = strike(Actor(look), model, pixels, attacker)
    assert np.array_equal(torch.cat([part for part, _ in seen]).numpy(), centers)
    assert all(np.array_equal(found.numpy(), codes) for _, found in seen)
    assert (outcome.forwards, outcome.backwards) == (11, 11)
    assert own.training
    assert all(parameter.requires_grad for parameter in own.parameters())


def test_a_ranked_list_is_the_database_by_distance_then_position(
    model: HashModel, pixels: NDArray[np.uint8], known: Known
) -> None:
    rng = np.random.default_rng(1)
    database = rng.choice(np.array([-1, 1], dtype=np.int8), (40, model.bits))
    lists: list[Tensor] = []

    def look(target: AttackedModel, images: Tensor, _: Goal) -> Tensor:
        lists.append(target.ranked(images, 15))
        assert target.ranked(images, 99).shape == (len(images), 40)
        for forbidden in (target.codes, target.outputs):
            with pytest.raises(PluginError, match="access 'ranking'"):
                forbidden(images)
        return images

    attacker = Attacker(known, database_codes=torch.from_numpy(database).float())
    outcome = strike(Ranker(look), model, pixels, attacker)
    assert outcome.forwards == 2 * len(pixels)
    codes = model.codes(torch.from_numpy(pixels).float() / 255).numpy().astype(int)
    distances = (model.bits - codes @ database.T.astype(int)) // 2
    wanted = np.argsort(distances, axis=1, kind="stable")[:, :15]
    assert np.array_equal(torch.cat(lists).numpy(), wanted)
    with pytest.raises(PluginError, match="asks for ranked lists: there is no database"):
        strike(Ranker(look), model, pixels, known)


@pytest.mark.parametrize("caught", [False, True])
def test_an_attack_that_never_returns_is_stopped(
    caught: bool, model: HashModel, pixels: NDArray[np.uint8], known: Known
) -> None:
    def forever(target: AttackedModel, images: Tensor, _: Goal) -> Tensor:
        while True:
            try:
                target.codes(images)
            except Exception:
                if not caught:
                    raise

    rule = r"attack 'actor' must return within 1,000 passes per query, but asked for more"
    with pytest.raises(PluginError, match=rule):
        strike(Actor(forever), model, pixels, known, limit=1000)


def test_the_limit_itself_is_allowed_and_holds_for_each_batch(
    model: HashModel, pixels: NDArray[np.uint8], known: Known
) -> None:
    def ask(times: int) -> Act:
        def look(target: AttackedModel, images: Tensor, _: Goal) -> Tensor:
            for _turn in range(times):
                target.codes(images)
            return images

        return look

    assert strike(Actor(ask(5)), model, pixels, known, limit=5).forwards == 5 * len(pixels)
    with pytest.raises(PluginError, match="within 5 passes"):
        strike(Actor(ask(6)), model, pixels, known, limit=5)


class Noisy(HashModel):
    """Adds 1, 2, 3, ... to the logits of successive passes: its mean over draws is known."""

    draws = 4

    def logits(self, images: Tensor) -> Tensor:
        self.count = getattr(self, "count", 0) + 1
        return super().logits(images) + self.count


def test_a_model_that_draws_is_averaged_and_every_draw_counted(pixels: NDArray[np.uint8]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = BackboneNet(nn.Flatten(), 27, (0.5,) * 3, (0.25,) * 3)
        noisy = Noisy(net, 6).eval()
    images = torch.from_numpy(pixels).float() / 255
    point = images.clone().requires_grad_(True)
    target = AttackedModel(noisy)
    found = target.logits(point)
    plain = HashModel.logits(noisy, images)
    assert torch.allclose(found, plain + (1 + 2 + 3 + 4) / 4, atol=1e-5)
    torch.autograd.grad(found.sum(), point)
    assert target.forwards == target.backwards == 4 * len(images)
    target.codes(images)  # as any user gets it: one draw
    assert target.forwards == 5 * len(images)


@attack("learner")
@dataclass(frozen=True)
class Learner(TrainedAttack):
    """Learns one perturbation by one sign step on the mean agreement with the train codes."""

    scale: float = 1.0

    def network(self, sizes: NetworkSizes) -> nn.Module:
        network = nn.Module()
        network.register_parameter("delta", nn.Parameter(torch.zeros(sizes.shape)))
        return network

    def train(self, network: nn.Module, setup: AttackerSetup) -> None:
        delta = network.get_parameter("delta")
        index = torch.arange(len(setup.train))
        agreement = (setup.model.outputs(setup.images(index) + delta) * setup.codes).sum()
        (gradient,) = torch.autograd.grad(agreement, delta)
        with torch.no_grad():
            delta.sub_(self.scale * setup.threat.radius * gradient.sign())
        setup.progress(1, 1)

    def perturb(
        self,
        model: AttackedModel,  # noqa: ARG002
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,  # noqa: ARG002
    ) -> Tensor:
        assert not goal.trained.training
        delta = goal.trained.get_parameter("delta")
        assert not delta.requires_grad
        return threat.project(images + delta, images)


def test_a_trained_attack_learns_from_the_frozen_model(
    model: HashModel, pixels: NDArray[np.uint8], known: Known
) -> None:
    train = ImageSet(pixels, known.labels.numpy().astype(np.uint8))
    codes = model.codes(torch.from_numpy(pixels).float() / 255)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    told: list[tuple[int, int]] = []
    network = train_attacker(
        Learner(),
        model,
        train,
        codes,
        Threat(Eps.parse("8/255")),
        torch.Generator().manual_seed(0),
        progress=lambda *done: told.append(done),
    )
    assert model.training
    assert told == [(1, 1)]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert float(network.get_parameter("delta").detach().abs().max()) == pytest.approx(8 / 255)
    model.eval()
    outcome = strike(Learner(), model, pixels, Attacker(known, network=network))
    assert outcome.linf == pytest.approx(8 / 255, abs=1e-6)
    assert (outcome.codes != codes.numpy()).any()


def test_a_network_of_nan_is_refused(model: HashModel, pixels: NDArray[np.uint8]) -> None:
    train = ImageSet(pixels, np.ones((len(pixels), 1), np.uint8))
    with pytest.raises(PluginError, match="'learner' must train a network of finite weights"):
        train_attacker(
            Learner(scale=float("nan")),
            model,
            train,
            torch.ones(len(pixels), model.bits),
            Threat(Eps.parse("8/255")),
            torch.Generator(),
            progress=lambda *_: None,
        )


def test_the_surrogate_of_an_attack_is_none_unless_it_says_so() -> None:
    assert Learner().surrogate() is None
    assert Surrogate() == Surrogate(backbone=None, loss=None)
