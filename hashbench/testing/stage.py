"""The stage of an attack: calls it as the harness does, and keeps what can be seen from outside."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench.attacking.answer import outermost
from hashbench.attacking.attacked_model import AttackedModel
from hashbench.attacking.attacker import SurrogateModel
from hashbench.attacking.contract import Attack, TrainedAttack
from hashbench.attacking.randomness import QueryRandom
from hashbench.attacking.setup import AttackerSetup, sizes_of
from hashbench.attacking.threat import Threat
from hashbench.eps import Eps, Norm
from hashbench.hashing.encode import device_of, evaluating, frozen
from hashbench.hashing.model import HashModel, codes_of
from hashbench.plugins.card import Access, Aim, Draws, Knowledge
from hashbench.testing.case import Case, ordinary
from hashbench.testing.radii import RADII, norms_of
from hashbench.testing.surroundings import Switches, own_random_state
from hashbench.testing.watched_model import WatchedModel
from hashbench.testing.world import Variant

LIMIT = 20_000
"""Forward passes per query after which an attack is stopped: a suite's default."""


class WatchedRandom(QueryRandom):
    """Says whether anything was drawn."""

    def __init__(self, seeds: Sequence[int], device: torch.device | str) -> None:
        super().__init__(seeds, device)
        self.drawn = False

    @override
    def uniform(self, shape: Sequence[int], low: float = 0.0, high: float = 1.0) -> Tensor:
        self.drawn = True
        return super().uniform(shape, low, high)

    @override
    def normal(self, shape: Sequence[int]) -> Tensor:
        self.drawn = True
        return super().normal(shape)

    @override
    def integers(self, shape: Sequence[int], high: int) -> Tensor:
        self.drawn = True
        return super().integers(shape, high)


@dataclass(frozen=True)
class Trial:
    """One call of an attack, and what it left behind.

    Attributes:
        answer: whatever it returned.
        case: what it was called on.
        threat: the ball.
        aim: the attack's.
        changed: arguments that are no longer what they were.
        weights: networks whose weights or buffers changed.
        modes: networks whose mode, or whose parameters' wish for a gradient, changed.
        gradients: networks that hold a gradient.
        touched: process-wide random generators that were drawn from.
        switches: torch's switches that were left changed.
        drawn: whether `rng` was drawn from.
        asked: the sum of all pixels of every pass, in order: which images the models were shown.
        forwards, backwards: passes, through a surrogate as well.
        looks: what was asked of the model over its draws.
    """

    answer: Any
    case: Case
    threat: Threat
    aim: Aim
    changed: tuple[str, ...]
    weights: tuple[str, ...]
    modes: tuple[str, ...]
    gradients: tuple[str, ...]
    touched: tuple[str, ...]
    switches: tuple[str, ...]
    drawn: bool
    asked: tuple[float, ...]
    forwards: int
    backwards: int
    looks: frozenset[Draws]

    @property
    def images(self) -> Tensor:
        """The answer as the harness takes it: detached, clipped to the ball and the box."""
        return self.threat.project(self.answer.detach(), self.case.images)

    @property
    def distance(self) -> float:
        """How far an image is from its clean one at most, in the ball's norm.

        As in the harness, what lies beyond the box is another rule's.
        """
        clipped = self.answer.detach().clamp(0, 1)
        return float(self.threat.distance(clipped, self.case.images).max())

    @property
    def stays(self) -> bool:
        """Whether that is in the ball, to float32's rounding."""
        return self.distance <= outermost(self.threat, self.case.images)

    @property
    def codes(self) -> Tensor:
        """The codes of `images`, int8 (Q, K), as if the weights had been left alone."""
        with torch.no_grad(), evaluating(self.case.model):
            return codes_of(self.case.model.logits(self.images.to(device_of(self.case.model))))


@dataclass(frozen=True)
class Training:
    """One training of an attack's network.

    Attributes:
        case: what it was trained on; kept, so that its parts keep their ids.
        network: what came out, in eval mode.
        start: its weights before.
        left_model_alone: whether the attacked model's weights are what they were.
        touched: process-wide random generators that the training drew from.
    """

    case: Case
    network: nn.Module
    start: dict[str, Tensor]
    left_model_alone: bool
    touched: tuple[str, ...]


class AttackStage:
    """Calls one attack; every call sees fresh copies of everything.

    Attributes:
        attack: never changed.
        norm: of the balls.
        radii: of the balls.
        left_changed: switches and modes that the last call left changed, also one that raised.
    """

    def __init__(self, attack: Attack, norm: Norm | None = None) -> None:
        """Take an attack, which is never changed.

        Args:
            attack: the plugin.
            norm: of the balls; by default the first that it works in.
        """
        self.attack = attack
        self.norm = norms_of(attack)[0] if norm is None else norm
        self.radii = RADII[self.norm]
        self._inside = {self.norm: self}
        self.left_changed: tuple[str, ...] = ()
        self._trainings: dict[tuple[int, int, str, str], Training] = {}

    @property
    def blamed(self) -> tuple[object, str]:
        """Whose method breaks a rule where no other is named."""
        return self.attack, "perturb"

    @property
    def plugin(self) -> Attack:
        """The attack."""
        return self.attack

    @property
    def asks_the_model(self) -> bool:
        """Whether its card says that it looks at the model."""
        return self.attack.card.access is not Access.NONE

    @property
    def is_trained(self) -> bool:
        """Whether it learns something of a model first."""
        return isinstance(self.attack, TrainedAttack)

    @property
    def has_surrogate(self) -> bool:
        """Whether it has a model of its own."""
        return self.attack.surrogate() is not None

    @property
    def is_told_labels(self) -> bool:
        """Whether its card asks for the queries' labels."""
        return Knowledge.LABELS in self.attack.card.knowledge

    def inside(self, norm: Norm) -> AttackStage:
        """The same attack in balls of another norm; always the same stage."""
        if norm not in self._inside:
            self._inside[norm] = AttackStage(self.attack, norm)
        return self._inside[norm]

    @cached_property
    def usual(self) -> Trial:
        """The ordinary batch of 7 at the usual radius, everything granted: called once."""
        return self.call(ordinary())

    def call(
        self,
        case: Case,
        *,
        attack: Attack | None = None,
        eps: Eps | None = None,
        seeds: Sequence[int] | None = None,
        as_declared: tuple[str, ...] = (),
    ) -> Trial:
        """Call `perturb`.

        Args:
            case: model and queries.
            attack: another one than the stage's, such as the same with 0 steps.
            eps: the radius; by default the usual one.
            seeds: one per query; by default their positions.
            as_declared: `access` and `knowledge` grant what the card asks for; else everything.
        """
        attack, eps = attack or self.attack, eps or self.radii.usual
        before = Switches.now()
        asked: list[float] = []

        def watched(model: HashModel) -> HashModel:
            copied = copy.deepcopy(model).to(case.images.device)
            return Variant(copied, lambda logits, images: _noted(asked, logits, images))

        model = watched(case.model)
        networks: dict[str, nn.Module] = {"model": model}
        access, knowledge = Access.GRADIENT, frozenset(Knowledge)
        if "access" in as_declared:
            access = attack.card.access or Access.GRADIENT
        if "knowledge" in as_declared:
            knowledge = attack.card.knowledge
        attacker = case.attacker.each(torch.clone)
        target = WatchedModel(
            model, attack.card.name, access, database_codes=attacker.database_codes
        )
        target.allow(LIMIT * len(case.images) * model.draws)
        own: AttackedModel | None = None
        surrogate: SurrogateModel | None = None
        if attack.surrogate() is not None:
            seen = case.attacker.surrogate or SurrogateModel(case.model, case.known)
            surrogate = SurrogateModel(watched(seen.model), seen.known.each(torch.clone))
            networks["surrogate"] = surrogate.model
            own = AttackedModel(surrogate.model, attack.card.name)
            own.allow(LIMIT * len(case.images))
        if isinstance(attack, TrainedAttack):
            networks["network"] = copy.deepcopy(self.training(case, eps).network)
        attacker = replace(attacker, surrogate=surrogate, network=networks.get("network"))
        goal = attacker.goal(attack, own, knowledge)
        told = {name: tensor.clone() for name, tensor in attacker.tensors().items()}
        given = case.images.clone()
        rng = WatchedRandom(range(len(given)) if seeds is None else seeds, given.device)
        with _at_rest(networks.values()), own_random_state() as touched:
            states = {name: _weights(one) for name, one in networks.items()}
            modes = {name: _modes(one) for name, one in networks.items()}
            try:
                answer = attack.perturb(target, given, goal, Threat(eps), rng)
            finally:
                self.left_changed = (
                    *before.changed(),
                    *(
                        f"the {name}'s mode"
                        for name, one in networks.items()
                        if _modes(one) != modes[name]
                    ),
                )
                switches = tuple(before.changed())
                before.restore()
            changed = ["images"] if not torch.equal(given, case.images) else []
            changed += [
                name
                for name, tensor in attacker.tensors().items()
                if not torch.equal(tensor, told[name])
            ]
            found = Trial(
                answer=answer,
                case=case,
                threat=Threat(eps),
                aim=goal.aim,
                changed=tuple(changed),
                weights=_differing(states, networks, _same_weights),
                modes=tuple(name for name, one in networks.items() if _modes(one) != modes[name]),
                gradients=tuple(name for name, one in networks.items() if _holds_gradient(one)),
                touched=(),
                switches=switches,
                drawn=rng.drawn,
                asked=tuple(asked),
                forwards=target.forwards + (own.forwards if own else 0),
                backwards=target.backwards + (own.backwards if own else 0),
                looks=frozenset(target.looks),
            )
        return replace(found, touched=tuple(touched.generators))

    def training(self, case: Case, eps: Eps) -> Training:
        """What a trained attack makes of a case, trained once."""
        key = (id(case.model), id(case.train), str(case.images.device), str(eps))
        if key not in self._trainings:
            self._trainings[key] = self.train(case, eps)
        return self._trainings[key]

    def train(self, case: Case, eps: Eps) -> Training:
        """Train a trained attack's network as the runner does, afresh."""
        attack = self.attack
        assert isinstance(attack, TrainedAttack)
        device = case.images.device
        model = copy.deepcopy(case.model).to(device)
        with own_random_state():
            network = attack.network(sizes_of(case.train, model.bits)).to(device).train()
        start = _weights(network)
        target = AttackedModel(model, attack.card.name)
        target.allow(LIMIT * len(case.train))
        setup = AttackerSetup(
            model=target,
            train=case.train,
            labels=case.known.train_labels.clone(),
            codes=case.known.train_codes.clone(),
            threat=Threat(eps),
            generator=torch.Generator().manual_seed(0),
            progress=lambda _done, _total: None,
        )
        with _at_rest([model]), own_random_state() as touched:
            weights = _weights(model)
            attack.train(network, setup)
            same = _same_weights(weights, model)
        return Training(case, network.eval(), start, same, tuple(touched.generators))


@contextmanager
def _at_rest(networks: Iterable[nn.Module]) -> Iterator[None]:
    with ExitStack() as stack:
        for network in networks:
            stack.enter_context(evaluating(network))
            stack.enter_context(frozen(network))
        yield


def _noted(asked: list[float], logits: Tensor, images: Tensor) -> Tensor:
    asked.append(float(images.detach().double().sum()))
    return logits


def _weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def _same_weights(before: dict[str, Tensor], network: nn.Module) -> bool:
    now = network.state_dict()
    return before.keys() == now.keys() and all(
        torch.equal(value, now[name]) for name, value in before.items()
    )


def _differing(
    states: dict[str, dict[str, Tensor]],
    networks: dict[str, nn.Module],
    same: Callable[[dict[str, Tensor], nn.Module], bool],
) -> tuple[str, ...]:
    return tuple(name for name, one in networks.items() if not same(states[name], one))


def _modes(network: nn.Module) -> list[bool]:
    modes = [module.training for module in network.modules()]
    return modes + [parameter.requires_grad for parameter in network.parameters()]


def _holds_gradient(network: nn.Module) -> bool:
    return any(parameter.grad is not None for parameter in network.parameters())


def failing_model(model: HashModel, at: int) -> HashModel:
    """A model that raises `ModelFailureError` in pass `at`, counted from 1."""
    return _Failing(model, at)


class ModelFailureError(Exception):
    """What a failing model raises."""


class _Failing(HashModel):
    def __init__(self, base: HashModel, at: int) -> None:
        nn.Module.__init__(self)
        self.base = base
        self.bits = base.bits
        self.left = at

    @override
    def logits(self, images: Tensor) -> Tensor:
        self.left -= 1
        if self.left <= 0:
            raise ModelFailureError("the model failed in the middle of an attack")
        return self.base.logits(images)
