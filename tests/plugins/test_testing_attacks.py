"""The conformance kit on attacks: a sound one passes, one that breaks a rule fails just that check.

Every built-in attack passes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hashbench.attacking import (
    AttackedModel,
    AttackerSetup,
    Goal,
    NetworkSizes,
    QueryRandom,
    Threat,
)
from hashbench.plugins import (
    Access,
    Aim,
    Attack,
    Draws,
    Knowledge,
    Surrogate,
    TrainedAttack,
    attack,
)
from hashbench.retrieval import center_codes
from hashbench.testing import ATTACK_CHECKS, Verdict, check_attack

pytestmark = pytest.mark.usefixtures("gpu")

CALLS = count()


class OneStep(Attack):
    """What all samples share: one signed step. A sound attack overrides nothing.

    The parts are methods, so that a wrong one changes one of them.
    """

    def perturb(
        self, model: AttackedModel, images: Tensor, goal: Goal, threat: Threat, rng: QueryRandom
    ) -> Any:
        gradient = self.gradient(model, images, goal)
        moved = images - self.reach(images, threat, rng) * self.direction(gradient)
        return self.finish(threat.project(moved, images), images, threat)

    def passes(self) -> int:
        return 1

    def gradient(self, model: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        point = images.clone().requires_grad_(True)
        agreement = (model.outputs(point) * self.codes(goal)).mean(dim=1).sum()
        (gradient,) = torch.autograd.grad(agreement, point)
        return gradient

    def codes(self, goal: Goal) -> Tensor:
        return goal.center_codes

    def reach(self, images: Tensor, threat: Threat, rng: QueryRandom) -> float | Tensor:  # noqa: ARG002
        return threat.radius

    def direction(self, gradient: Tensor) -> Tensor:
        return gradient.sign()

    def finish(self, point: Tensor, images: Tensor, threat: Threat) -> Any:  # noqa: ARG002
        return point


@attack("sound")
@dataclass(frozen=True)
class Sound(OneStep):
    """Keeps every rule."""


@attack("sound-with-steps", presets={"two": {"steps": 2}})
@dataclass(frozen=True)
class SoundWithSteps(OneStep):
    """Keeps every rule: several steps from a random start."""

    steps: int = 8

    def perturb(
        self, model: AttackedModel, images: Tensor, goal: Goal, threat: Threat, rng: QueryRandom
    ) -> Any:
        noise = rng.uniform(images.shape[1:], -threat.radius, threat.radius)
        point = threat.project(images + noise, images)
        for _ in range(self.steps):
            gradient = self.gradient(model, point, goal)
            point = threat.project(point - threat.radius / 2 * gradient.sign(), images)
        return point

    def passes(self) -> int:
        return self.steps


class Targeted(OneStep):
    """One signed step towards the center code of the target labels."""

    def codes(self, goal: Goal) -> Tensor:
        codes = center_codes(goal.target_labels, goal.train_codes, goal.train_labels)
        return -torch.from_numpy(codes).to(goal.train_codes)


@attack("sound-targeted", aim=Aim.TARGETED)
@dataclass(frozen=True)
class SoundTargeted(Targeted):
    """Keeps every rule."""


class Learned(TrainedAttack):
    """One perturbation for all images."""

    def network(self, sizes: NetworkSizes) -> nn.Module:
        return Everywhere(sizes.shape)

    def train(self, network: nn.Module, setup: AttackerSetup) -> None:
        assert isinstance(network, Everywhere)
        for _ in range(10):
            order = torch.randperm(len(setup.labels), generator=setup.generator)
            images = setup.images(order[:24])
            change = network.change.detach().clone().requires_grad_(True)
            outputs = setup.model.outputs(images + change)
            (gradient,) = torch.autograd.grad((outputs * setup.codes[order[:24]]).sum(), change)
            with torch.no_grad():
                network.change.sub_(setup.threat.radius / 4 * gradient.sign())
                network.change.clamp_(-setup.threat.radius, setup.threat.radius)

    def perturb(
        self,
        model: AttackedModel,  # noqa: ARG002
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,  # noqa: ARG002
    ) -> Tensor:
        assert isinstance(goal.trained, Everywhere)
        return threat.project(images + goal.trained.change, images)

    def passes(self) -> int:
        return 0


class Everywhere(nn.Module):
    """Holds one perturbation (C, H, W)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.change = nn.Parameter(torch.zeros(shape))


@attack("sound-learned", access=Access.NONE, knowledge=())
@dataclass(frozen=True)
class SoundLearned(Learned):
    """Keeps every rule."""


@attack("sound-search", access=Access.CODES, knowledge=())
@dataclass(frozen=True)
class SoundSearch(Attack):
    """Keeps every rule: the best of random signs, judged by codes alone."""

    tries: int = 40

    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,  # noqa: ARG002
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        clean = model.codes(images).float()
        best, most = images.clone(), images.new_zeros(len(images))
        for _ in range(self.tries):
            signs = rng.integers(images.shape[1:], 2) * 2.0 - 1
            point = threat.project(images + threat.radius * signs, images)
            flipped = (model.codes(point).float() != clean).float().sum(dim=1)
            better = flipped > most
            best = torch.where(better[:, None, None, None], point, best)
            most = torch.where(better, flipped, most)
        return best

    def passes(self) -> int:
        return self.tries + 1


@attack("sound-transfer", access=Access.NONE)
@dataclass(frozen=True)
class SoundTransfer(OneStep):
    """Keeps every rule: the step is taken by a surrogate's gradient."""

    def gradient(self, model: AttackedModel, images: Tensor, goal: Goal) -> Tensor:  # noqa: ARG002
        own = goal.surrogate
        return super().gradient(own.model, images, own.goal)

    def surrogate(self) -> Surrogate:
        return Surrogate()


SOUND = (Sound, SoundWithSteps, SoundTargeted, SoundLearned, SoundSearch, SoundTransfer)


@attack("documented")
@dataclass(frozen=True)
class Undocumented(OneStep):
    __doc__ = None


@attack("typed-parameters")
@dataclass(frozen=True)
class Untyped(OneStep):
    """Breaks one rule."""

    secret: bytes = b""


@attack("frozen-and-hashable")
@dataclass(unsafe_hash=True)
class Thawed(OneStep):
    """Breaks one rule."""

    share: float = 1.0


@attack("round-trip")
@dataclass(frozen=True)
class Doubling(OneStep):
    """Breaks one rule."""

    share: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "share", 2 * self.share)


@attack("presets", presets={"strong": {"shares": 2.0}})
@dataclass(frozen=True)
class WrongPreset(OneStep):
    """Breaks one rule."""

    share: float = 1.0


@attack("copyable")
@dataclass(frozen=True)
class Uncopyable(OneStep):
    """Breaks one rule."""

    def __reduce__(self) -> Any:
        raise TypeError("cannot be copied")


@attack("signatures")
@dataclass(frozen=True)
class TakesTooLittle(OneStep):
    """Breaks one rule."""

    def reach_of_steps(self) -> None:  # type: ignore[override]
        return None


@attack("answers")
@dataclass(frozen=True)
class Raising(OneStep):
    """Breaks one rule."""

    def finish(self, point: Tensor, images: Tensor, threat: Threat) -> Any:  # noqa: ARG002
        raise ZeroDivisionError("something went wrong")


@attack("returns-a-tensor")
@dataclass(frozen=True)
class Numpy(OneStep):
    """Breaks one rule."""

    def finish(self, point: Tensor, images: Tensor, threat: Threat) -> Any:  # noqa: ARG002
        return point.numpy()


@attack("shape")
@dataclass(frozen=True)
class Flat(OneStep):
    """Breaks one rule."""

    def finish(self, point: Tensor, images: Tensor, threat: Threat) -> Any:  # noqa: ARG002
        return point.flatten(1)


@attack("dtype")
@dataclass(frozen=True)
class Double(OneStep):
    """Breaks one rule."""

    def finish(self, point: Tensor, images: Tensor, threat: Threat) -> Any:  # noqa: ARG002
        return point.double()


@attack("finite")
@dataclass(frozen=True)
class OneNaN(OneStep):
    """Breaks one rule."""

    def finish(self, point: Tensor, images: Tensor, threat: Threat) -> Any:  # noqa: ARG002
        point[-1, 0, 2, 2] = torch.nan
        return point


@attack("leaves-images-alone")
@dataclass(frozen=True)
class InPlace(OneStep):
    """Breaks one rule."""

    def finish(self, point: Tensor, images: Tensor, threat: Threat) -> Any:  # noqa: ARG002
        images[0, 0, 0, 0] = 0.123
        return point


@attack("leaves-goal-alone")
@dataclass(frozen=True)
class TurnsCenters(OneStep):
    """Breaks one rule."""

    def codes(self, goal: Goal) -> Tensor:
        return -goal.center_codes.neg_()


@attack("inside-ball")
@dataclass(frozen=True)
class LeavesBall(OneStep):
    """Breaks one rule, by a hair."""

    def finish(self, point: Tensor, images: Tensor, threat: Threat) -> Any:
        return (images + (1 + 1e-4) * (point - images)).clamp(0, 1) if threat.radius else point


@attack("inside-box")
@dataclass(frozen=True)
class LeavesBox(OneStep):
    """Breaks one rule."""

    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,  # noqa: ARG002
    ) -> Any:
        return images - threat.radius * self.gradient(model, images, goal).sign()


@attack("eps-0")
@dataclass(frozen=True)
class AlwaysMoves(OneStep):
    """Breaks one rule."""

    def finish(self, point: Tensor, images: Tensor, threat: Threat) -> Any:
        return point if threat.radius else (images + 1 / 255).clamp(0, 1)


@attack("0-steps")
@dataclass(frozen=True)
class MovesWithoutSteps(OneStep):
    """Breaks one rule: it takes one step more than it was told to."""

    steps: int = 1

    def passes(self) -> int:
        return 1


@attack("batch-of-one")
@dataclass(frozen=True)
class Squeezes(OneStep):
    """Breaks one rule."""

    def finish(self, point: Tensor, images: Tensor, threat: Threat) -> Any:  # noqa: ARG002
        return point.squeeze(0)


@attack("image-shapes")
@dataclass(frozen=True)
class SmallImagesOnly(OneStep):
    """Breaks one rule."""

    def direction(self, gradient: Tensor) -> Tensor:
        return gradient.reshape(len(gradient), 3, -1, 8).sign()


@attack("weights-untouched")
@dataclass(frozen=True)
class Tampers(OneStep):
    """Breaks one rule."""

    def gradient(self, model: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        found = super().gradient(model, images, goal)
        next(model._model.parameters()).data.add_(1.0)
        return found


@attack("no-gradient-left")
@dataclass(frozen=True)
class LeavesGradients(OneStep):
    """Breaks one rule."""

    def gradient(self, model: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        parameter = next(model._model.parameters())
        parameter.grad = torch.zeros_like(parameter)
        return super().gradient(model, images, goal)


@attack("modes-untouched")
@dataclass(frozen=True)
class Trains(OneStep):
    """Breaks one rule."""

    def gradient(self, model: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        model._model.train()
        return super().gradient(model, images, goal)


@attack("switches-untouched")
@dataclass(frozen=True)
class SwitchesOff(OneStep):
    """Breaks one rule."""

    def finish(self, point: Tensor, images: Tensor, threat: Threat) -> Any:  # noqa: ARG002
        torch.set_grad_enabled(False)
        return point


@attack("error-passes-through")
@dataclass(frozen=True)
class Swallows(OneStep):
    """Breaks one rule."""

    def gradient(self, model: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        try:
            return super().gradient(model, images, goal)
        except Exception:
            return torch.zeros_like(images)


@attack("restored-after-error")
@dataclass(frozen=True)
class ForgetsToRestore(OneStep):
    """Breaks one rule."""

    def gradient(self, model: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        torch.set_default_dtype(torch.float64)
        found = super().gradient(model, images, goal)
        torch.set_default_dtype(torch.float32)
        return found


@attack("same-seed")
@dataclass(frozen=True)
class Counts(OneStep):
    """Breaks one rule."""

    def reach(self, images: Tensor, threat: Threat, rng: QueryRandom) -> float | Tensor:  # noqa: ARG002
        return threat.radius * (1 - 1e-4 * (next(CALLS) % 7))


@attack("other-seed")
@dataclass(frozen=True)
class IgnoresDraws(OneStep):
    """Breaks one rule."""

    def reach(self, images: Tensor, threat: Threat, rng: QueryRandom) -> float | Tensor:  # noqa: ARG002
        rng.uniform((2,))
        return threat.radius


@attack("leaves-global-rng-alone")
@dataclass(frozen=True)
class DrawsGlobally(OneStep):
    """Breaks one rule."""

    def reach(self, images: Tensor, threat: Threat, rng: QueryRandom) -> float | Tensor:  # noqa: ARG002
        return threat.radius * (1 - 1e-3 * torch.rand(images.shape[1:]).to(images))


@attack("batch-split")
@dataclass(frozen=True)
class Averages(OneStep):
    """Breaks one rule: its step depends on the size of the batch."""

    def reach(self, images: Tensor, threat: Threat, rng: QueryRandom) -> float | Tensor:  # noqa: ARG002
        return threat.radius * (1 - 1e-3 * len(images))


@attack("row-order")
@dataclass(frozen=True)
class LooksAtNeighbours(OneStep):
    """Breaks one rule: its step depends on which query comes first."""

    def reach(self, images: Tensor, threat: Threat, rng: QueryRandom) -> float | Tensor:  # noqa: ARG002
        falling = images[0].mean() > images[-1].mean()
        return threat.radius * (0.995 if falling else 1.0)


@attack("other-device")
@dataclass(frozen=True)
class StaysOnCPU(OneStep):
    """Breaks one rule."""

    def finish(self, point: Tensor, images: Tensor, threat: Threat) -> Any:  # noqa: ARG002
        return point.cpu()


@attack("flat-model")
@dataclass(frozen=True)
class Normalises(OneStep):
    """Breaks one rule. It leaves the clean code, since a center code may have no gradient."""

    def gradient(self, model: AttackedModel, images: Tensor, goal: Goal) -> Tensor:  # noqa: ARG002
        own = model.codes(images).float()
        point = images.clone().requires_grad_(True)
        (gradient,) = torch.autograd.grad((model.outputs(point) * own).sum(), point)
        return gradient

    def passes(self) -> int:
        return 2

    def direction(self, gradient: Tensor) -> Tensor:
        if gradient.isnan().any():  # a model that gives NaN is another rule's
            return torch.zeros_like(gradient)
        return gradient.sign() + 0 * (gradient / gradient.abs().amax())


@attack("constant-gradient")
@dataclass(frozen=True)
class DividesByCurvature(OneStep):
    """Breaks one rule."""

    def gradient(self, model: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        points = images.clone().requires_grad_(True), (images + 0.01).requires_grad_(True)
        one, two = (
            torch.autograd.grad((model.logits(p) * self.codes(goal)).sum(), p)[0] for p in points
        )
        if not one.any() or one.isnan().any():  # another rule's
            return torch.zeros_like(images)
        return one + 0 * one / (two - one).abs().amax()

    def direction(self, gradient: Tensor) -> Tensor:
        return gradient.sign() + 0 * gradient

    def passes(self) -> int:
        return 2


@attack("nan-model")
@dataclass(frozen=True)
class PassesNaNOn(OneStep):
    """Breaks one rule."""

    def direction(self, gradient: Tensor) -> Tensor:
        return gradient.sign() + 0 * gradient


@attack("drawing-model")
@dataclass(frozen=True)
class AveragesTwice(OneStep):
    """Breaks one rule: what it averages is a mean over the draws already."""

    def gradient(self, model: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        parts = [super().gradient(model, images, goal)]
        for _ in range(1, model.draws):
            parts.append(super().gradient(model, images, goal))
        return torch.stack(parts).mean(dim=0)


@attack("draws-as-declared", draws=Draws.EXPECTED_LOSS)
@dataclass(frozen=True)
class PromisesExpectedLoss(OneStep):
    """Breaks one rule: it takes the mean output."""


@attack("nothing-relevant")
@dataclass(frozen=True)
class NeedsRelevant(OneStep):
    """Breaks one rule."""

    def gradient(self, model: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        relevant = (goal.labels @ goal.train_labels.T > 0).float()
        mean = relevant @ goal.train_codes / relevant.sum(dim=1, keepdim=True)
        return super().gradient(model, images, goal) + 0 * mean.mean()

    def direction(self, gradient: Tensor) -> Tensor:
        return gradient.sign() + torch.where(gradient.isnan(), torch.nan, 0.0)

    def perturb(
        self, model: AttackedModel, images: Tensor, goal: Goal, threat: Threat, rng: QueryRandom
    ) -> Any:
        # A model that gives NaN is another rule's.
        if model.codes(images).float().mean() == -1:
            return images
        return super().perturb(model, images, goal, threat, rng)

    def passes(self) -> int:
        return 2


@attack("everything-relevant")
@dataclass(frozen=True)
class NeedsOthers(NeedsRelevant):
    """Breaks one rule."""

    def gradient(self, model: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        others = (goal.labels @ goal.train_labels.T == 0).float()
        mean = others @ goal.train_codes / others.sum(dim=1, keepdim=True)
        return OneStep.gradient(self, model, images, goal) + 0 * mean.mean()


@attack("no-target", aim=Aim.TARGETED)
@dataclass(frozen=True)
class NeedsTarget(Targeted):
    """Breaks one rule."""

    def perturb(
        self, model: AttackedModel, images: Tensor, goal: Goal, threat: Threat, rng: QueryRandom
    ) -> Any:
        share = goal.target_labels / goal.target_labels.sum(dim=1, keepdim=True)
        point: Tensor = super().perturb(model, images, goal, threat, rng)
        return point + 0 * share.sum(dim=1)[:, None, None, None]


@attack("stays-within-access", access=Access.CODES)
@dataclass(frozen=True)
class ClaimsBlackBox(OneStep):
    """Breaks one rule."""


@attack("reads-what-it-declares", knowledge=(Knowledge.LABELS,))
@dataclass(frozen=True)
class ReadsMore(OneStep):
    """Breaks one rule."""


@attack("pass-count")
@dataclass(frozen=True)
class SecretPasses(OneStep):
    """Breaks one rule."""

    def gradient(self, model: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        model.codes(images)
        return super().gradient(model, images, goal)


@attack("surrogate")
@dataclass(frozen=True)
class UnknownSurrogate(OneStep):
    """Breaks one rule."""

    def surrogate(self) -> Surrogate:
        return Surrogate(backbone="no-such-network")


@attack("training")
@dataclass(frozen=True)
class LearnsNothing(OneStep, Learned):
    """Breaks one rule."""

    def train(self, network: nn.Module, setup: AttackerSetup) -> None:
        pass


@attack("training-repeats", access=Access.NONE, knowledge=())
@dataclass(frozen=True)
class LearnsAnew(Learned):
    """Breaks one rule."""

    def train(self, network: nn.Module, setup: AttackerSetup) -> None:
        super().train(network, setup)
        assert isinstance(network, Everywhere)
        network.change.data.mul_(1 - os.urandom(1)[0] / 1e4)


@attack("training-leaves-rng-alone", access=Access.NONE, knowledge=())
@dataclass(frozen=True)
class LearnsFromGlobal(Learned):
    """Breaks one rule."""

    def train(self, network: nn.Module, setup: AttackerSetup) -> None:
        super().train(network, setup)
        assert isinstance(network, Everywhere)
        network.change.data.mul_(1 - torch.rand(()) / 1e4)


@attack("training-leaves-model-alone", access=Access.NONE, knowledge=())
@dataclass(frozen=True)
class LearnsByTampering(Learned):
    """Breaks one rule."""

    def train(self, network: nn.Module, setup: AttackerSetup) -> None:
        super().train(network, setup)
        next(setup.model._model.parameters()).data.add_(1.0)


@attack("leads-away")
@dataclass(frozen=True)
class WrongSign(OneStep):
    """Breaks one rule."""

    def codes(self, goal: Goal) -> Tensor:
        return -goal.center_codes


@attack("leads-to-target", aim=Aim.TARGETED)
@dataclass(frozen=True)
class WrongTargetSign(Targeted):
    """Breaks one rule."""

    def direction(self, gradient: Tensor) -> Tensor:
        return -gradient.sign()


@attack("larger-eps")
@dataclass(frozen=True)
class Shy(OneStep):
    """Breaks one rule."""

    def reach(self, images: Tensor, threat: Threat, rng: QueryRandom) -> float | Tensor:  # noqa: ARG002
        return threat.radius if threat.radius < 20 / 255 else 0.0


@attack("linear-hash-below")
@dataclass(frozen=True)
class RoundsUp(OneStep):
    """Breaks one rule: it takes radii in multiples of 4/255."""

    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,  # noqa: ARG002
    ) -> Any:
        wide = Threat(threat.eps.parse(f"{-(-round(255 * threat.radius) // 4) * 4}/255"))
        if threat.radius > 4 / 255:
            wide = threat
        step = wide.radius * self.gradient(model, images, goal).sign()
        return wide.project(images - step, images)


@attack("linear-hash-above")
@dataclass(frozen=True)
class Timid(OneStep):
    """Breaks one rule."""

    def reach(self, images: Tensor, threat: Threat, rng: QueryRandom) -> float | Tensor:  # noqa: ARG002
        return 0.9 * threat.radius


WRONG: tuple[type[Attack], ...] = (
    Undocumented,
    TakesTooLittle,
    Untyped,
    Thawed,
    Doubling,
    WrongPreset,
    Uncopyable,
    Raising,
    Numpy,
    Flat,
    Double,
    OneNaN,
    InPlace,
    TurnsCenters,
    LeavesBall,
    LeavesBox,
    AlwaysMoves,
    MovesWithoutSteps,
    Squeezes,
    SmallImagesOnly,
    Tampers,
    LeavesGradients,
    Trains,
    SwitchesOff,
    Swallows,
    ForgetsToRestore,
    Counts,
    IgnoresDraws,
    DrawsGlobally,
    Averages,
    LooksAtNeighbours,
    StaysOnCPU,
    Normalises,
    DividesByCurvature,
    PassesNaNOn,
    AveragesTwice,
    PromisesExpectedLoss,
    NeedsRelevant,
    NeedsOthers,
    NeedsTarget,
    ClaimsBlackBox,
    ReadsMore,
    SecretPasses,
    UnknownSurrogate,
    LearnsNothing,
    LearnsAnew,
    LearnsFromGlobal,
    LearnsByTampering,
    WrongSign,
    WrongTargetSign,
    Shy,
    RoundsUp,
    Timid,
)
"""Each is called after the one check that it fails."""


def names(outcomes: Any) -> list[str]:
    return [outcome.check for outcome in outcomes]


@pytest.mark.parametrize("sound", SOUND, ids=lambda plugin: plugin.card.name)
def test_a_sound_attack_passes(sound: type[Attack]) -> None:
    report = check_attack(sound)
    report.raise_failures()
    assert report.ok
    assert len(report.outcomes) == len(ATTACK_CHECKS)
    assert len(report.passed) >= 28
    assert all(outcome.sentence for outcome in report.outcomes)


@pytest.mark.parametrize("wrong", WRONG, ids=lambda plugin: plugin.card.name)
def test_a_wrong_attack_fails_just_its_check(wrong: type[Attack]) -> None:
    report = check_attack(wrong)
    assert names(report.failed) == [wrong.card.name], report.failed
    with pytest.raises(AssertionError, match=wrong.card.name):
        report.raise_failures()


def test_every_check_has_its_wrong_attack() -> None:
    checks = [one.name for one in ATTACK_CHECKS]
    assert sorted(wrong.card.name for wrong in WRONG) == sorted(checks)
    assert len(set(checks)) == len(checks) >= 20


def test_no_sound_attack_leaves_a_check_untried() -> None:
    """Between them they are asked everything, so that no check can pass by being skipped."""
    tried = {
        outcome.check
        for sound in SOUND
        for outcome in check_attack(sound).outcomes
        if outcome.verdict is Verdict.PASSED
    }
    assert tried == {one.name for one in ATTACK_CHECKS}


@attack("quiet")
@dataclass(frozen=True)
class QuietlyExpected(OneStep):
    """Follows an expected loss, of which its card says nothing."""

    def gradient(self, model: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        point = images.clone().requires_grad_(True)
        agreement = model.expected_loss(lambda u: (u * self.codes(goal)).mean(dim=1), point)
        (found,) = torch.autograd.grad(agreement.sum(), point)
        return found


def test_an_expected_loss_that_no_card_declares_is_told() -> None:
    report = check_attack(QuietlyExpected())
    [failed] = [outcome for outcome in report.outcomes if outcome.verdict is Verdict.FAILED]
    assert failed.check == "draws-as-declared"
    assert "declare draws=Draws.EXPECTED_LOSS" in failed.sentence
