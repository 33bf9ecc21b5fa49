"""Checks of what an attack returns, and of what it leaves alone."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

from dataclasses import fields, replace

import torch
from torch import Tensor

from hashbench.attacking.answer import ROUNDING, beyond
from hashbench.attacking.contract import Attack
from hashbench.attacking.threat import Threat
from hashbench.eps import Norm
from hashbench.hashing.model import codes_of
from hashbench.testing.case import Case, grey, of_model, ordinary
from hashbench.testing.checking import Check, check, require, skip_unless
from hashbench.testing.stage import AttackStage, ModelFailureError, Trial, failing_model

USABLE = ("answers", "returns-a-tensor", "shape", "dtype", "finite")
"""Without these no other answer says anything."""


@check("answers", "it returns from an ordinary batch")
def answers(stage: AttackStage) -> None:
    stage.usual  # noqa: B018 - raises what the attack raises


@check("returns-a-tensor", "it returns a tensor", needs=["answers"])
def returns_a_tensor(stage: AttackStage) -> None:
    answer = stage.usual.answer
    require(isinstance(answer, Tensor), f"it returned {type(answer).__name__}, not a tensor")


@check("shape", "its answer has the shape of the images", needs=["returns-a-tensor"])
def shape(stage: AttackStage) -> None:
    found, wanted = stage.usual.answer.shape, stage.usual.case.images.shape
    require(found == wanted, f"it returned {tuple(found)} for images {tuple(wanted)}")


@check("dtype", "its answer is float32, as the images", needs=["returns-a-tensor"])
def dtype(stage: AttackStage) -> None:
    found = stage.usual.answer.dtype
    require(found == torch.float32, f"it returned {found} for torch.float32")


@check("finite", "its answer holds neither NaN nor infinity", needs=["returns-a-tensor"])
def finite(stage: AttackStage) -> None:
    _finite(stage.usual)


@check("leaves-images-alone", "it does not change its images in place", needs=["answers"])
def leaves_images_alone(stage: AttackStage) -> None:
    require(
        "images" not in stage.usual.changed,
        "it changed its images in place: work on images.clone()",
    )


@check("leaves-goal-alone", "it does not change what it is told in place", needs=["answers"])
def leaves_goal_alone(stage: AttackStage) -> None:
    changed = [name for name in stage.usual.changed if name != "images"]
    require(not changed, f"it changed {', '.join(changed)} in place")


@check("inside-ball", "its answer stays in the ball, to float32's rounding", needs=USABLE)
def inside_ball(stage: AttackStage) -> None:
    # What the box cuts shortens a change in L2, and would hide a length that is a little too much.
    further = [stage.call(grey())] if stage.norm is Norm.L2 else []
    for trial in (stage.usual, *further):
        told = beyond(trial.threat, trial.distance)
        require(
            trial.stays,
            f"at radius {trial.threat.radius:.6f} it {told}: end with "
            "threat.project(perturbed, images)",
        )


@check("inside-box", "every pixel stays in [0, 1], to 1e-6", needs=USABLE)
def inside_box(stage: AttackStage) -> None:
    answer = stage.usual.answer.detach()
    outside = max(float(-answer.min()), float(answer.max()) - 1)
    require(
        outside <= ROUNDING,
        f"it returned values from {float(answer.min()):.4f} to {float(answer.max()):.4f}: end with "
        "threat.project(perturbed, images)",
    )


@check("eps-0", "at radius 0 its answer has the clean codes, bit for bit", needs=USABLE)
def eps_0(stage: AttackStage) -> None:
    trial = stage.call(ordinary(), eps=stage.radii.zero)
    _finite(trial)
    require(trial.stays, f"at radius 0 it {beyond(trial.threat, trial.distance)}")
    with torch.no_grad():
        clean = codes_of(trial.case.model.logits(trial.case.images))
    require(torch.equal(trial.codes, clean), "at radius 0 a code is not that of the clean image")


@check("0-steps", "with steps=0 it returns the image, or where it starts", needs=USABLE)
def no_steps(stage: AttackStage) -> None:
    attack = _with_no_steps(stage.attack)
    trials = [
        stage.call(ordinary(), attack=attack, seeds=range(first, first + 7)) for first in (0, 100)
    ]
    for trial in trials:
        _finite(trial)
        told = beyond(trial.threat, trial.distance)
        require(trial.stays, f"with steps=0 it {told}, beyond the radius")
    starts_at_random = not torch.equal(trials[0].answer, trials[1].answer)
    unmoved = replace(trials[0], answer=trials[0].images, threat=Threat(stage.radii.zero))
    require(
        starts_at_random or stage.is_trained or unmoved.stays,
        f"with steps=0, and nothing drawn, it {beyond(unmoved.threat, unmoved.distance)}",
    )


def _with_no_steps(attack: Attack) -> Attack:
    names = [field.name for field in fields(attack)]  # type: ignore[arg-type]
    skip_unless("steps" in names, "no parameter 'steps'")
    try:
        return replace(attack, steps=0)  # type: ignore[type-var]
    except ValueError:
        skip_unless(False, "refuses steps=0")
        raise


@check("batch-of-one", "a batch may hold one image", needs=USABLE)
def batch_of_one(stage: AttackStage) -> None:
    alone = ordinary().rows(torch.tensor([2]))
    _like_its_images(stage.call(alone, seeds=[2]))


@check("image-shapes", "it takes grey and coloured images of any size", needs=USABLE)
def image_shapes(stage: AttackStage) -> None:
    for size in ((1, 28, 28), (3, 32, 32), (2, 9, 13)):
        case = ordinary(size).rows(torch.arange(2))
        _like_its_images(stage.call(case))


@check("weights-untouched", "no weight of any network changes", needs=["answers"])
def weights_untouched(stage: AttackStage) -> None:
    changed = stage.usual.weights
    require(not changed, f"it changed weights or buffers of the {' and the '.join(changed)}")


@check("no-gradient-left", "no parameter holds a gradient afterwards", needs=["answers"])
def no_gradient_left(stage: AttackStage) -> None:
    holders = stage.usual.gradients
    require(
        not holders, f"parameters of the {' and the '.join(holders)} hold a gradient afterwards"
    )


@check("modes-untouched", "modes and frozen parameters stay as they are", needs=["answers"])
def modes_untouched(stage: AttackStage) -> None:
    changed = stage.usual.modes
    require(
        not changed,
        f"it left the {' and the '.join(changed)} in another mode, or no longer frozen",
    )


@check("switches-untouched", "torch's own switches stay as they are", needs=["answers"])
def switches_untouched(stage: AttackStage) -> None:
    changed = stage.usual.switches
    require(not changed, f"it left torch's {', '.join(changed)} changed")


@check("error-passes-through", "an error of the model reaches the caller", needs=["answers"])
def error_passes_through(stage: AttackStage) -> None:
    for at in _failures(stage):
        require(
            _fails(stage, _before_failing(at)),
            f"the model raised an error in pass {at}, and it answered all the same",
        )


@check(
    "restored-after-error",
    "after an error of the model, modes and torch's switches are restored",
    needs=["answers", "error-passes-through", "modes-untouched", "switches-untouched"],
)
def restored_after_error(stage: AttackStage) -> None:
    for at in _failures(stage):
        _fails(stage, _before_failing(at))
        require(
            not stage.left_changed,
            f"an error in pass {at} leaves {', '.join(stage.left_changed)} changed: restore it in "
            "a finally, or use a context manager",
        )


def _failures(stage: AttackStage) -> tuple[int, ...]:
    skip_unless(stage.usual.forwards > 0 and stage.asks_the_model, "never asks the model")
    skip_unless(not stage.is_trained, "trained: knows its own model alone")
    return (1, 2) if stage.usual.forwards > len(stage.usual.case.images) else (1,)


def _before_failing(at: int) -> Case:
    return of_model(failing_model(ordinary().model, at))


def _fails(stage: AttackStage, case: Case) -> bool:
    try:
        own = ordinary().attacker.surrogate
        stage.call(replace(case, attacker=replace(case.attacker, surrogate=own)))
    except Exception as error:
        causes: list[BaseException] = [error]
        while causes[-1].__cause__ or causes[-1].__context__:
            causes.append(causes[-1].__cause__ or causes[-1].__context__)  # type: ignore[arg-type]
        require(
            any(isinstance(cause, ModelFailureError) for cause in causes),
            f"the model raised an error, and it raised {type(error).__name__} for it",
        )
        return True
    return False


def _finite(trial: Trial) -> None:
    require(bool(torch.isfinite(trial.answer.detach()).all()), "its answer holds NaN or infinity")


def _like_its_images(trial: Trial) -> None:
    size = tuple(trial.case.images.shape)
    require(isinstance(trial.answer, Tensor), f"images {size}: it returned no tensor")
    found = tuple(trial.answer.shape)
    require(found == size, f"it returned {found} for images {size}")
    require(trial.answer.dtype == torch.float32, f"images {size}: it returned no float32")
    _finite(trial)


ANSWERS: tuple[Check[AttackStage], ...] = (
    answers,
    returns_a_tensor,
    shape,
    dtype,
    finite,
    leaves_images_alone,
    leaves_goal_alone,
    inside_ball,
    inside_box,
    eps_0,
    no_steps,
    batch_of_one,
    image_shapes,
    weights_untouched,
    no_gradient_left,
    modes_untouched,
    switches_untouched,
    error_passes_through,
    restored_after_error,
)
