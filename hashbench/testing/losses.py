"""Checks of hashing losses, in the order in which they are tried."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

import math

import torch
from torch import Tensor

from hashbench.hashing.objective import BoundLoss
from hashbench.plugins.blame import came
from hashbench.retrieval import mean_average_precision
from hashbench.testing.checking import Check, check, require, skip_unless
from hashbench.testing.loss_stage import CLASSES, ITEMS, Ask, LossStage, ask, single_labels
from hashbench.testing.surroundings import own_random_state

STEPS = 80
LEAST = 0.1
"""Descending on a loss has to raise the mAP by so much, as a share of 1."""


@check("bound-loss", "bind() returns a BoundLoss", method="bind")
def bound_loss(stage: LossStage) -> None:
    found = stage.bound(ask())
    require(
        isinstance(found, BoundLoss),
        f"bind() returned {came(found)}, not a BoundLoss: write a class "
        "(hashbench.hashing.BoundLoss) with forward(self, outputs, labels, index)",
    )


@check("answers", "it gives the loss of an ordinary batch", needs=["bound-loss"])
def answers(stage: LossStage) -> None:
    stage.usual  # noqa: B018 - raises what the loss raises


@check("scalar", "it is a float32 tensor of one number", needs=["answers"])
def scalar(stage: LossStage) -> None:
    value = stage.usual[0]
    require(isinstance(value, Tensor), f"it is {type(value).__name__}, not a tensor")
    require(value.ndim == 0, f"it has shape {tuple(value.shape)}, expected one number")
    require(value.dtype == torch.float32, f"it is {value.dtype}, expected torch.float32")


@check("finite", "it is neither NaN nor infinite", needs=["scalar"])
def finite(stage: LossStage) -> None:
    value = float(stage.usual[0].detach())
    require(math.isfinite(value), f"it is {value}")


@check("gradient", "it has a finite gradient by the outputs, not 0", needs=["scalar"])
def gradient(stage: LossStage) -> None:
    found = stage.usual[1].grad
    require(found is not None, "no gradient reaches the outputs")
    assert found is not None
    require(bool(torch.isfinite(found).all()), "its gradient holds NaN or infinity")
    require(bool(found.any()), "its gradient by the outputs is 0")


@check("leaves-global-rng-alone", "all that it draws comes from setup.generator", needs=["repeats"])
def leaves_global_rng_alone(stage: LossStage) -> None:
    # A layer draws as it is made, even if its weights are set later: what counts is the outcome.
    again = stage.value(ask(), seed=1)[0]
    require(
        torch.equal(again, stage.usual[0]),
        "it depends on a process-wide generator: draw from setup.generator",
    )


@check("leaves-arguments-alone", "outputs, labels and index stay as they are", needs=["answers"])
def leaves_arguments_alone(stage: LossStage) -> None:
    question = ask()
    bound = stage.bind(question)
    given = question.outputs[question.index].clone(), question.rows.clone(), question.index.clone()
    bound(*(part.clone() if part is None else part for part in given))
    wanted = question.outputs[question.index], question.rows, question.index
    names = ("outputs", "labels", "index")
    changed = [n for n, now, was in zip(names, given, wanted, strict=True) if not now.equal(was)]
    require(not changed, f"it changes {', '.join(changed)} in place")


@check(
    "leaves-other-models-alone",
    "it leaves nothing behind that a model's codes depend on",
    needs=["finite"],
)
def leaves_other_models_alone(stage: LossStage) -> None:
    stage.usual  # noqa: B018 - bound and asked
    require(
        not stage.bystander.changed(),
        "after it was bound and asked, a model that it was not given answers otherwise: leave no "
        "hook, and patch no class",
    )


@check("repeats", "the same generator and the same batch give the same loss", needs=["finite"])
def repeats(stage: LossStage) -> None:
    again = stage.value(ask())[0]
    require(
        torch.equal(again, stage.usual[0]),
        f"bound again, it is {float(again.detach())} where it was {float(stage.usual[0].detach())}",
    )


@check(
    "trains-on", "a second batch can be asked after a backward pass", needs=["finite", "gradient"]
)
def trains_on(stage: LossStage) -> None:
    question = ask()
    bound = stage.bind(question)
    stage.value(question, bound)
    try:
        value, outputs = stage.value(question, bound)
    except RuntimeError as error:
        require(False, f"the second batch raised '{error}': detach what is kept")
    require(
        bool(torch.isfinite(value.detach())) and outputs.grad is not None,
        "the second batch has no finite loss with a gradient",
    )


@check("batch-order", "the order of a batch does not matter", needs=["finite", "repeats"])
def batch_order(stage: LossStage) -> None:
    question = ask()
    turned = Ask(question.labels, question.outputs, question.index.flip(0))
    found, usual = stage.number(turned), stage.number(question)
    require(
        abs(found - usual) <= 1e-4 * max(1.0, abs(usual)),
        f"with its batch turned around it is {found}, where it was {usual}",
    )


@check("single-label", "items may have one label each", needs=["finite", "gradient"])
def single_label(stage: LossStage) -> None:
    stage.finite_on("with one label each", ask(labels=single_labels()))


@check("without-a-label", "an item may have no label", needs=["finite", "gradient"])
def without_a_label(stage: LossStage) -> None:
    labels = single_labels()
    labels[:5] = 0
    stage.finite_on("where items have no label", ask(labels=labels))


@check("one-class", "all items may be relevant to one another", needs=["finite", "gradient"])
def one_class(stage: LossStage) -> None:
    labels = torch.zeros(ITEMS, CLASSES)
    labels[:, 1] = 1
    stage.finite_on("where all items are of one class", ask(labels=labels))


@check("any-code-length", "a code length need not be a power of two", needs=["finite", "gradient"])
def any_code_length(stage: LossStage) -> None:
    for bits in (5, 16, 24):
        stage.finite_on(f"with {bits} bits", ask(bits=bits))


@check("batch-of-one", "the last batch may hold one item", needs=["finite", "gradient"])
def batch_of_one(stage: LossStage) -> None:
    stage.finite_on("on a batch of one", ask(batch=1))


@check("copies-what-it-remembers", "remember() keeps a copy of the outputs", needs=["finite"])
def copies_what_it_remembers(stage: LossStage) -> None:
    skip_unless(stage.has_memory, "has no memory")
    question = ask()
    bound = stage.bind(question)
    given = question.outputs.clone()
    bound.remember(given)
    require(torch.equal(given, question.outputs), "remember() changes the outputs in place")
    usual = stage.number(question, bound)
    bound = stage.bind(question)
    bound.remember(given)
    given.zero_()
    found = stage.number(question, bound)
    require(
        found == usual,
        f"when the outputs that it was given change later, it changes from {usual} to {found}",
    )


@check("remembers", "what it is given to remember takes part in the loss", needs=["finite"])
def remembers(stage: LossStage) -> None:
    skip_unless(stage.has_memory, "has no memory")
    question = ask()
    bound = stage.bind(question)
    bound.remember(-question.outputs)
    found = stage.number(question, bound)
    require(found != stage.number(question), "what remember() is given makes no difference")


@check(
    "finite-differences",
    "its gradient is its slope, where it is smooth",
    needs=["finite", "gradient"],
)
def finite_differences(stage: LossStage) -> None:
    skip_unless(not stage.has_memory, "its memory follows the outputs")
    question = ask()
    bound = stage.bind(question).double()
    outputs = question.outputs[question.index].double().requires_grad_(True)
    generator = torch.Generator().manual_seed(2)
    tried = 0

    def at(point: Tensor) -> Tensor:
        value: Tensor = bound(point, question.rows.double(), question.index)
        return value

    (slope,) = torch.autograd.grad(at(outputs), outputs)
    point = outputs.detach()
    for _ in range(4):
        way = torch.randn(point.shape, generator=generator).double()
        with torch.no_grad():
            coarse, fine = (
                float(at(point + h * way) - at(point - h * way)) / (2 * h) for h in (2e-4, 1e-4)
            )
        if abs(coarse - fine) > 1e-3 * max(1e-3, abs(fine)):
            continue  # a kink lies in between
        tried += 1
        found = float((slope * way).sum())
        require(
            abs(found - fine) <= 1e-2 * max(abs(fine), abs(found), 1e-3),
            f"its gradient says {found:.6f} where its slope is {fine:.6f}",
        )
    skip_unless(tried > 0, "not smooth")


@check(
    "leads-to-retrieval",
    "outputs that descend on it retrieve what is relevant",
    needs=["trains-on", "leaves-arguments-alone"],
)
def leads_to_retrieval(stage: LossStage) -> None:
    question = ask()
    with own_random_state():
        found = _descended(stage.bind(question), question)
    codes = torch.where(found >= 0, 1, -1)
    before = torch.where(question.outputs >= 0, 1, -1)
    score, clean = (
        mean_average_precision(c, c, question.labels, question.labels) for c in (codes, before)
    )
    require(
        score >= clean + LEAST,
        f"descending on it moves the mAP from {100 * clean:.1f} to {100 * score:.1f} %: is a sign "
        "wrong?",
    )


def _descended(bound: BoundLoss, question: Ask) -> Tensor:
    """The outputs `tanh(z)` after some steps along the signs of the gradient by z."""
    values = torch.atanh(question.outputs.clamp(-0.99, 0.99))
    index = torch.arange(len(values))
    own = [parameter for parameter in bound.parameters() if parameter.requires_grad]
    for step in range(STEPS):
        values = values.detach().requires_grad_(True)
        loss = bound(torch.tanh(values), question.labels, index)
        slopes = torch.autograd.grad(loss, [values, *own], allow_unused=True)
        size = 0.1 * (1 - step / STEPS)
        with torch.no_grad():
            values = values - size * slopes[0].sign()
            for parameter, slope in zip(own, slopes[1:], strict=True):
                if slope is not None:
                    parameter.sub_(size * slope)
    return torch.tanh(values.detach())


LOSSES: tuple[Check[LossStage], ...] = (
    bound_loss,
    answers,
    scalar,
    finite,
    gradient,
    leaves_arguments_alone,
    leaves_other_models_alone,
    repeats,
    leaves_global_rng_alone,
    trains_on,
    batch_order,
    single_label,
    without_a_label,
    one_class,
    any_code_length,
    batch_of_one,
    copies_what_it_remembers,
    remembers,
    finite_differences,
    leads_to_retrieval,
)
