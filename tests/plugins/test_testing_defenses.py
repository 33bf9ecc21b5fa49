"""The conformance kit on defenses: a wrong one fails just the check of the rule that it breaks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.utils.hooks import RemovableHandle

from hashbench.defending import Budget, DefenseSetup, TransformedModel, WrappedModel
from hashbench.hashing import Batch, HashModel, Objective, Recipe
from hashbench.plugins import Defense, TrainedDefense, WrappingDefense, defense
from hashbench.testing import DEFENSE_CHECKS, check_defense
from hashbench.testing.identity import IDENTITY
from support import leaky

CALLS = count()


def names(outcomes: Iterable[Any]) -> list[str]:
    return [outcome.check for outcome in outcomes]


# Defenses that wrap.


@defense("sound")
@dataclass(frozen=True)
class Darker(WrappingDefense):
    """Keeps every rule."""

    factor: float = 0.9

    def wrap(self, model: HashModel) -> HashModel:
        return TransformedModel(model, lambda images: self.factor * images)


@defense("sound-noise")
@dataclass(frozen=True)
class Noisy(WrappingDefense):
    """Keeps every rule: it says that it draws."""

    def wrap(self, model: HashModel) -> HashModel:
        return TransformedModel(model, lambda x: x + 0.1 * torch.randn(x.shape).to(x), draws=4)


class Logits(WrappedModel):
    """Changes the logits by a function of logits and images."""

    def __init__(self, base: HashModel, change: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__(base)
        self.change = change

    def logits(self, images: Tensor) -> Tensor:
        return self.change(self.base.logits(images), images)


def changed(name: str, change: Callable[[Tensor, Tensor], Any]) -> type[Defense]:
    """A wrapping defense that changes the logits."""

    @defense(name)
    @dataclass(frozen=True)
    class Changed(WrappingDefense):
        """Breaks one rule."""

        def wrap(self, model: HashModel) -> HashModel:
            return Logits(model, change)

        def __reduce__(self) -> Any:
            return changed_one, (name,)

    return Changed


def changed_one(name: str) -> Any:
    """For copies."""
    return next(wrong for wrong in WRONG_WRAPPERS if wrong.card.name == name)()


@defense("wraps")
@dataclass(frozen=True)
class ReturnsFunction(WrappingDefense):
    """Breaks one rule."""

    def wrap(self, model: HashModel) -> Any:
        return model.logits


@defense("leaves-base-alone")
@dataclass(frozen=True)
class Rounds(WrappingDefense):
    """Breaks one rule."""

    def wrap(self, model: HashModel) -> HashModel:
        for parameter in model.parameters():
            parameter.data.mul_(0.5)
        return model


@defense("bits")
@dataclass(frozen=True)
class MisstatesBits(WrappingDefense):
    """Breaks one rule."""

    def wrap(self, model: HashModel) -> HashModel:
        wrapped = WrappedModel(model)
        wrapped.bits += 1
        return wrapped


@defense("draws")
@dataclass(frozen=True)
class DrawsLess(WrappingDefense):
    """Breaks one rule."""

    def wrap(self, model: HashModel) -> HashModel:
        wrapped = WrappedModel(model)
        wrapped.draws = 0
        return wrapped


class Hidden(HashModel):
    """Keeps its base where torch does not see it."""

    def __init__(self, base: HashModel, *, parameter: bool) -> None:
        nn.Module.__init__(self)
        self.hidden = [base]
        self.bits = base.bits
        if parameter:
            self.scale = nn.Parameter(torch.ones(()))

    def logits(self, images: Tensor) -> Tensor:
        return self.hidden[0].logits(images)


class Copied(Hidden):
    """The same, with the base's mode kept up by hand."""

    def train(self, mode: bool = True) -> Copied:
        self.hidden[0].train(mode)
        super().train(mode)
        return self

    def logits(self, images: Tensor) -> Tensor:
        self.hidden[0].train(self.training)
        return super().logits(images)


@defense("has-parameters")
@dataclass(frozen=True)
class HidesParameters(WrappingDefense):
    """Breaks one rule."""

    def wrap(self, model: HashModel) -> HashModel:
        return Copied(model, parameter=False)


@defense("follows-its-mode")
@dataclass(frozen=True)
class HidesBase(WrappingDefense):
    """Breaks one rule."""

    def wrap(self, model: HashModel) -> HashModel:
        return Hidden(model, parameter=True)


@defense("outputs-follow-logits")
@dataclass(frozen=True)
class OwnCodes(WrappingDefense):
    """Breaks one rule."""

    def wrap(self, model: HashModel) -> HashModel:
        class Opposite(WrappedModel):
            def codes(self, images: Tensor) -> Tensor:
                return -super().codes(images)

        return Opposite(model)


@defense("image-shapes")
@dataclass(frozen=True)
class SquareOnly(WrappingDefense):
    """Breaks one rule."""

    def wrap(self, model: HashModel) -> HashModel:
        return TransformedModel(model, lambda images: (images + images.mT) / 2)


@defense("wraps-again")
@dataclass(frozen=True)
class Counts(WrappingDefense):
    """Breaks one rule."""

    def wrap(self, model: HashModel) -> HashModel:
        factor = 1 + 0.01 * next(CALLS)
        return Logits(model, lambda logits, _: factor * logits)


def _in_place(logits: Tensor, images: Tensor) -> Tensor:
    images.data.clamp_(max=0.9)
    return logits


def _of_other_rows(logits: Tensor, _: Tensor) -> Tensor:
    return logits - logits.mean(dim=0) / 2


@defense("in-company")
@dataclass(frozen=True)
class DrawsAndCentres(WrappingDefense):
    """Breaks one rule."""

    def wrap(self, model: HashModel) -> HashModel:
        wrapped = Logits(
            model,
            lambda logits, _: logits - logits.mean(dim=0) / 2 + 0.01 * torch.randn(logits.shape),
        )
        wrapped.draws = 3
        return wrapped


HOOKS: list[RemovableHandle] = []


@pytest.fixture(autouse=True)
def _no_hook_is_left() -> Iterator[None]:
    yield
    while HOOKS:
        HOOKS.pop().remove()


class Hook:
    """Moves the values of every dense layer in eval mode."""

    def __call__(self, module: nn.Module, _: Any, values: Tensor) -> Tensor | None:
        return values + 1 if isinstance(module, nn.Linear) and not module.training else None


def _hooks(value: Tensor, batch: Batch, setup: DefenseSetup) -> Tensor:  # noqa: ARG001
    hook: Any = Hook()
    HOOKS.append(nn.modules.module.register_module_forward_hook(hook))
    return value


WRONG_WRAPPERS: tuple[type[Defense], ...] = (
    ReturnsFunction,
    Rounds,
    MisstatesBits,
    DrawsLess,
    HidesParameters,
    HidesBase,
    changed("shape", lambda logits, _: torch.cat([logits, logits], dim=1)),
    changed("dtype", lambda logits, _: logits.double()),
    changed("finite", lambda logits, _: logits / 0),
    changed("leaves-images-alone", _in_place),
    changed("same-seed", lambda logits, _: logits * (1 + 0.01 * next(CALLS))),
    changed("draws-as-declared", lambda logits, _: logits + torch.rand(())),
    OwnCodes,
    changed("gradient", lambda logits, _: logits.detach()),
    changed("batch-of-one", lambda logits, _: logits.squeeze(0)),
    changed("batch-split", _of_other_rows),
    DrawsAndCentres,
    SquareOnly,
    Counts,
)


# Defenses that train.


class Plain(Objective):
    """The hashing loss, changed by a function of value, batch and setup."""

    def __init__(
        self, setup: DefenseSetup, change: Callable[[Tensor, Batch, DefenseSetup], Any]
    ) -> None:
        self.setup = setup
        self.change = change

    def loss(self, batch: Batch) -> Any:
        outputs = self.setup.model.outputs(batch.images)
        return self.change(self.setup.loss(outputs, batch.labels, batch.index), batch, self.setup)


def same(value: Tensor, batch: Batch, setup: DefenseSetup) -> Tensor:  # noqa: ARG001
    return value


class Trained(TrainedDefense):
    """What all samples share. A sound one overrides nothing."""

    def recipe(self, budget: Budget) -> Any:
        return Recipe(epochs=budget.epochs)

    def objective(self, setup: DefenseSetup) -> Objective:
        return Plain(setup, same)

    def passes(self, budget: Budget) -> int:  # noqa: ARG002
        return 1


@defense("sound")
@dataclass(frozen=True)
class Longer(Trained):
    """Keeps every rule."""


@defense("sound-epochs")
@dataclass(frozen=True)
class OwnEpochs(Trained):
    """Keeps every rule: its parameter says how long."""

    epochs: int | None = 7

    def recipe(self, budget: Budget) -> Recipe:
        return Recipe(epochs=budget.epochs if self.epochs is None else self.epochs)


@defense("recipe")
@dataclass(frozen=True)
class NoRecipe(Trained):
    """Breaks one rule."""

    def recipe(self, budget: Budget) -> Any:
        return vars(Recipe(epochs=budget.epochs))


@defense("epochs-of-the-budget")
@dataclass(frozen=True)
class TrainsLonger(Trained):
    """Breaks one rule."""

    def recipe(self, budget: Budget) -> Recipe:
        return Recipe(epochs=2 * budget.epochs)


@defense("moves-weights")
@dataclass(frozen=True)
class Stands(Trained):
    """Breaks one rule."""

    def recipe(self, budget: Budget) -> Recipe:
        return Recipe(epochs=budget.epochs, learning_rate=1e-30)


@defense("own-parameters")
@dataclass(frozen=True)
class HandsOutModel(Trained):
    """Breaks one rule."""

    def objective(self, setup: DefenseSetup) -> Objective:
        class Doubled(Plain):
            def parameters(self) -> Iterable[Parameter]:
                return [next(self.setup.model.parameters())]

        return Doubled(setup, same)


@defense("pass-count")
@dataclass(frozen=True)
class SecretPasses(Trained):
    """Breaks one rule."""

    def objective(self, setup: DefenseSetup) -> Objective:
        def more(value: Tensor, batch: Batch, setup: DefenseSetup) -> Tensor:
            for _ in range(5):
                setup.model.codes(batch.images)
            return value

        return Plain(setup, more)


def trained(name: str, change: Callable[[Tensor, Batch, DefenseSetup], Any]) -> type[Defense]:
    """A trained defense that changes the loss."""

    @defense(name)
    @dataclass(frozen=True)
    class Changed(Trained):
        """Breaks one rule."""

        def objective(self, setup: DefenseSetup) -> Objective:
            return Plain(setup, change)

        def __reduce__(self) -> Any:
            return trained_one, (name,)

    return Changed


def trained_one(name: str) -> Any:
    """For copies."""
    return next(wrong for wrong in WRONG_TRAININGS if wrong.card.name == name)()


@defense("objective")
@dataclass(frozen=True)
class ReturnsDuck(TrainedDefense):
    """Breaks one rule."""

    def recipe(self, budget: Budget) -> Recipe:
        return Recipe(epochs=budget.epochs)

    def objective(self, setup: DefenseSetup) -> Any:
        return lambda batch: setup.model.outputs(batch.images).sum()


def _raises(*_: Any) -> Tensor:
    raise ZeroDivisionError("something went wrong")


def _leaves_eval(value: Tensor, batch: Batch, setup: DefenseSetup) -> Tensor:  # noqa: ARG001
    setup.model.eval()
    return value


def _writes(value: Tensor, batch: Batch, setup: DefenseSetup) -> Tensor:  # noqa: ARG001
    batch.labels.mul_(0)
    return value


def _needs_two(value: Tensor, batch: Batch, setup: DefenseSetup) -> Tensor:
    return value + 0 * batch.images.std(dim=0).sum() * setup.model.bits


def _needs_a_batch(value: Tensor, batch: Batch, setup: DefenseSetup) -> Tensor:  # noqa: ARG001
    return value if len(setup.labels) > 3 else value / 0


def _needs_two_labels(value: Tensor, batch: Batch, setup: DefenseSetup) -> Tensor:  # noqa: ARG001
    # A train set of three is another rule's.
    most = setup.labels.sum(dim=1).max()
    return value + 0 / (most - 1) if len(setup.labels) > 3 else value


def _needs_a_label(value: Tensor, batch: Batch, setup: DefenseSetup) -> Tensor:  # noqa: ARG001
    return value + 0 * (batch.labels / batch.labels.sum(dim=1, keepdim=True)).sum()


def _needs_a_radius(value: Tensor, batch: Batch, setup: DefenseSetup) -> Tensor:  # noqa: ARG001
    return value + 0 * torch.zeros(()) / float(setup.budget.eps)


def _draws(value: Tensor, batch: Batch, setup: DefenseSetup) -> Tensor:  # noqa: ARG001
    return value * (1 + torch.rand(()))


def _differs(value: Tensor, batch: Batch, setup: DefenseSetup) -> Tensor:  # noqa: ARG001
    return value * (1 + os.urandom(1)[0])


WRONG_TRAININGS: tuple[type[Defense], ...] = (
    NoRecipe,
    TrainsLonger,
    ReturnsDuck,
    trained("answers", _raises),
    trained("scalar", lambda value, batch, _: value.expand(len(batch.index))),
    trained("finite", lambda value, *_: value + torch.inf),
    trained("gradient", lambda value, *_: value.detach().requires_grad_(True)),
    Stands,
    trained("repeats", _differs),
    trained("leaves-global-rng-alone", _draws),
    trained("keeps-training-mode", _leaves_eval),
    trained("leaves-arguments-alone", _writes),
    trained("leaves-other-models-alone", _hooks),
    HandsOutModel,
    trained("batch-of-one", _needs_two),
    trained("small-train-set", _needs_a_batch),
    trained("single-label", _needs_two_labels),
    trained("without-a-label", _needs_a_label),
    trained("empty-budget", _needs_a_radius),
    SecretPasses,
)


@pytest.mark.parametrize("sound", [Darker, Noisy, Longer, OwnEpochs])
def test_a_sound_defense_passes(sound: type[Defense]) -> None:
    report = check_defense(sound)
    report.raise_failures()
    assert len(report.passed) >= 20
    assert all(outcome.sentence for outcome in report.outcomes)


@pytest.mark.parametrize("wrong", WRONG_WRAPPERS, ids=lambda plugin: plugin.card.name)
def test_a_wrong_wrapper_fails_just_its_check(wrong: type[Defense]) -> None:
    report = check_defense(wrong)
    assert names(report.failed) == [wrong.card.name], report.failed


@pytest.mark.parametrize("wrong", WRONG_TRAININGS, ids=lambda plugin: plugin.card.name)
def test_a_wrong_training_fails_just_its_check(wrong: type[Defense]) -> None:
    report = check_defense(wrong)
    assert names(report.failed) == [wrong.card.name], report.failed


@pytest.mark.parametrize(
    ("kind", "wrong"), [(WrappingDefense, WRONG_WRAPPERS), (TrainedDefense, WRONG_TRAININGS)]
)
def test_every_check_has_its_wrong_defense(
    kind: type[Defense], wrong: tuple[type[Defense], ...]
) -> None:
    checks = [one.name for one in DEFENSE_CHECKS[kind]]
    shared = {one.name for one in IDENTITY}  # tried on attacks
    assert sorted(one.card.name for one in wrong) == sorted(set(checks) - shared)
    assert len(set(checks)) == len(checks) >= 20


def test_numpy_draws_count_as_well() -> None:
    @defense("numpy-noise")
    @dataclass(frozen=True)
    class NumpyNoise(WrappingDefense):
        """Draws from numpy's process-wide generator."""

        def wrap(self, model: HashModel) -> HashModel:
            return Logits(model, lambda logits, _: logits + np.random.rand())  # noqa: NPY002

    assert "draws-as-declared" in names(check_defense(NumpyNoise).failed)


def test_a_wrapper_that_looks_at_the_size_of_a_large_batch_is_seen() -> None:
    assert names(check_defense(leaky.BySize).failed) == ["in-company"]
