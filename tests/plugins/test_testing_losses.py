"""The conformance kit on hashing losses: a wrong one fails just the check of its broken rule."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from hashbench.hashing import BoundLoss, LossSetup, relevant
from hashbench.plugins import Loss, loss
from hashbench.testing import LOSS_CHECKS, check_loss
from hashbench.testing.identity import IDENTITY

CALLS = count()

Change = Callable[..., Any]


def names(outcomes: Iterable[Any]) -> list[str]:
    return [outcome.check for outcome in outcomes]


class Pairs(BoundLoss):
    """Squared error of the similarities, changed by (value, outputs, labels, index, self)."""

    def __init__(self, setup: LossSetup, change: Change) -> None:
        super().__init__()
        self.train_labels = setup.labels
        self.change = change
        self.number = next(CALLS)

    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Any:
        similarity = outputs @ outputs.T / outputs.shape[1]
        value = (similarity - 2 * relevant(labels, labels) + 1).square().mean()
        return self.change(value, outputs, labels, index, self)


class Remembering(BoundLoss):
    """The same against a memory of all outputs."""

    memory: Tensor

    def __init__(self, setup: LossSetup) -> None:
        super().__init__()
        self.train_labels = setup.labels
        self.register_buffer("memory", torch.zeros(len(setup.labels), setup.bits))

    def remember(self, outputs: Tensor) -> None:
        self.memory.copy_(outputs)

    def enter(self, outputs: Tensor, index: Tensor) -> None:
        self.memory[index] = outputs.detach()

    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        self.enter(outputs, index)
        similarity = outputs @ self.memory.T / outputs.shape[1]
        return (similarity - 2 * relevant(labels, self.train_labels) + 1).square().mean()


def same(value: Tensor, *_: Any) -> Tensor:
    return value


@loss("sound")
@dataclass(frozen=True)
class SoundPairs(Loss):
    """Keeps every rule."""

    def bind(self, setup: LossSetup) -> BoundLoss:
        return Pairs(setup, same)


@loss("sound-memory")
@dataclass(frozen=True)
class SoundMemory(Loss):
    """Keeps every rule, with a memory."""

    def bind(self, setup: LossSetup) -> BoundLoss:
        return Remembering(setup)


def changed(name: str, change: Change) -> type[Loss]:
    """A loss without a memory, changed."""

    @loss(name)
    @dataclass(frozen=True)
    class Changed(Loss):
        """Breaks one rule."""

        def bind(self, setup: LossSetup) -> BoundLoss:
            return Pairs(setup, change)

        def __reduce__(self) -> Any:
            return by_name, (name,)

    return Changed


def by_name(name: str) -> Any:
    """For copies."""
    return next(wrong for wrong in WRONG if wrong.card.name == name)()


@loss("bound-loss")
@dataclass(frozen=True)
class BindsFunction(Loss):
    """Breaks one rule."""

    def bind(self, setup: LossSetup) -> Any:
        class NoBoundLoss(torch.nn.Module):
            """Has all methods of one."""

            remember = BoundLoss.remember

            def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
                value: Tensor = Pairs(setup, same)(outputs, labels, index)
                return value

        return NoBoundLoss()


@loss("trains-on")
@dataclass(frozen=True)
class KeepsGraph(Loss):
    """Breaks one rule."""

    def bind(self, setup: LossSetup) -> BoundLoss:
        class Attached(Remembering):
            def enter(self, outputs: Tensor, index: Tensor) -> None:
                # No `detach`: the memory drags the graphs of all batches along.
                self.memory = self.memory.index_put((index,), outputs.square() * outputs.sign())

        return Attached(setup)


@loss("copies-what-it-remembers")
@dataclass(frozen=True)
class KeepsReference(Loss):
    """Breaks one rule."""

    def bind(self, setup: LossSetup) -> BoundLoss:
        class Sharing(Remembering):
            def remember(self, outputs: Tensor) -> None:
                self.memory = outputs

            def enter(self, outputs: Tensor, index: Tensor) -> None:
                self.memory = self.memory.index_put((index,), outputs.detach())

        return Sharing(setup)


@loss("remembers")
@dataclass(frozen=True)
class Forgets(Loss):
    """Breaks one rule."""

    def bind(self, setup: LossSetup) -> BoundLoss:
        class Forgetful(Remembering):
            def remember(self, outputs: Tensor) -> None:
                pass

        return Forgetful(setup)


@loss("leads-to-retrieval")
@dataclass(frozen=True)
class WrongSign(Loss):
    """Breaks one rule."""

    def bind(self, setup: LossSetup) -> BoundLoss:
        return Pairs(setup, lambda value, *_: -value)


class Slanted(torch.autograd.Function):
    """The identity, with twice its gradient."""

    @staticmethod
    def forward(_: Any, value: Tensor) -> Tensor:
        return value.clone()

    @staticmethod
    def backward(_: Any, *gradients: Tensor) -> Tensor:
        return 2 * gradients[0]


def _raises(*_: Any) -> Tensor:
    raise ZeroDivisionError("something went wrong")


def _in_place(value: Tensor, outputs: Tensor, labels: Tensor, *_: Any) -> Tensor:  # noqa: ARG001
    labels.mul_(0)
    return value


def _by_place(value: Tensor, outputs: Tensor, labels: Tensor, *_: Any) -> Tensor:  # noqa: ARG001
    weights = torch.arange(1.0, len(outputs) + 1).to(outputs)
    return value + 0.01 * (weights @ outputs.square()).mean()


def _needs_two_labels(value: Tensor, outputs: Tensor, labels: Tensor, *rest: Any) -> Tensor:  # noqa: ARG001
    train = rest[1].train_labels
    # No label at all, and one class for all, are other rules'.
    if (train.sum(dim=1) != 1).all() or (train.sum(dim=0) == 0).any():
        return value
    return value / 0 if (train.sum(dim=1) == 1).all() and len(outputs) > 1 else value


def _needs_a_label(value: Tensor, outputs: Tensor, labels: Tensor, *_: Any) -> Tensor:  # noqa: ARG001
    return value + 0 * (labels / labels.sum(dim=1, keepdim=True)).sum().to(value)


def _needs_classes(value: Tensor, outputs: Tensor, labels: Tensor, *rest: Any) -> Tensor:  # noqa: ARG001
    return value / 0 if (rest[1].train_labels.sum(dim=0) == 0).any() else value


def _needs_even(value: Tensor, outputs: Tensor, *_: Any) -> Tensor:
    return value / 0 if outputs.shape[1] % 2 else value


def _needs_two(value: Tensor, outputs: Tensor, *_: Any) -> Tensor:
    return value + 0 * outputs.std(dim=0).mean()


class Hook:
    """Moves the values of every layer that answers with two axes."""

    def __call__(self, module: nn.Module, _: Any, values: Tensor) -> Tensor | None:
        return values + 1 if isinstance(module, nn.Linear) else None


def _hooks(value: Tensor, *_: Any) -> Tensor:
    hook: Any = Hook()
    HOOKS.append(nn.modules.module.register_module_forward_hook(hook))
    return value


HOOKS: list[RemovableHandle] = []


@pytest.fixture(autouse=True)
def _no_hook_is_left() -> Iterator[None]:
    yield
    while HOOKS:
        HOOKS.pop().remove()


WRONG: tuple[type[Loss], ...] = (
    changed("answers", _raises),
    BindsFunction,
    changed("scalar", lambda value, outputs, *_: value.expand(len(outputs))),
    changed("finite", lambda value, *_: value + torch.inf),
    changed("gradient", lambda value, *_: value.detach()),
    changed("leaves-arguments-alone", _in_place),
    changed("leaves-other-models-alone", _hooks),
    changed("repeats", lambda value, *_: value * (1 + os.urandom(4)[0])),
    changed("leaves-global-rng-alone", lambda value, *_: value * (1 + torch.rand(()))),
    KeepsGraph,
    changed("batch-order", _by_place),
    changed("single-label", _needs_two_labels),
    changed("without-a-label", _needs_a_label),
    changed("one-class", _needs_classes),
    changed("any-code-length", _needs_even),
    changed("batch-of-one", _needs_two),
    KeepsReference,
    Forgets,
    changed("finite-differences", lambda value, *_: Slanted.apply(value)),
    WrongSign,
)


@pytest.mark.parametrize("sound", [SoundPairs, SoundMemory])
def test_a_sound_loss_passes(sound: type[Loss]) -> None:
    report = check_loss(sound)
    report.raise_failures()
    assert len(report.passed) >= 20


@pytest.mark.parametrize("wrong", WRONG, ids=lambda plugin: plugin.card.name)
def test_a_wrong_loss_fails_just_its_check(wrong: type[Loss]) -> None:
    report = check_loss(wrong)
    assert names(report.failed) == [wrong.card.name], report.failed


def test_every_check_has_its_wrong_loss() -> None:
    checks = [one.name for one in LOSS_CHECKS]
    shared = {one.name for one in IDENTITY}  # tried on attacks
    assert sorted(wrong.card.name for wrong in WRONG) == sorted(set(checks) - shared)
    assert len(set(checks)) == len(checks) >= 20
