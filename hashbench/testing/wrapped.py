"""Checks of defenses that wrap a model, and the stage that they are tried on."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

import copy
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from hashbench.attacking.company import dependent_share
from hashbench.defending.contract import WrappingDefense
from hashbench.hashing.encode import encode, evaluating, frozen
from hashbench.hashing.model import HashModel, codes_of
from hashbench.plugins.blame import came
from hashbench.testing.attack_repeats import CHUNKS
from hashbench.testing.case import ordinary
from hashbench.testing.checking import Check, check, require, skip_unless
from hashbench.testing.surroundings import own_random_state
from hashbench.testing.world import SMALL, Shape, Variant, world

ROUNDING = 1e-4


class WrappedStage:
    """Wraps the small trained model with one defense."""

    def __init__(self, defense: WrappingDefense) -> None:
        """Take a defense, which is never changed."""
        self.plugin = defense
        self.blamed = (defense, "wrap")

    def wrap(self, base: HashModel | None = None, shape: Shape = SMALL) -> HashModel:
        """The defended model around a copy of the small one, or around another base."""
        with own_random_state():
            return self.plugin.wrap(copy.deepcopy(world(shape).model) if base is None else base)

    @cached_property
    def usual(self) -> HashModel:
        """The defended model, to be looked at and not changed."""
        return self.wrap()

    def logits(self, images: Tensor, seed: int = 0) -> Tensor:
        """Of the usual model, in eval mode."""
        with own_random_state(seed), evaluating(self.usual), torch.no_grad():
            return self.usual.logits(images)

    @property
    def images(self) -> Tensor:
        """A copy of the ordinary queries."""
        return ordinary().images.clone()


@check("wraps", "wrap() returns a HashModel")
def wraps(stage: WrappedStage) -> None:
    found = stage.usual
    require(
        isinstance(found, HashModel),
        f"wrap() returned {came(found)}, not a HashModel: write a class "
        "(hashbench.defending.WrappedModel) with logits(self, images)",
    )


@check("leaves-base-alone", "the base model's weights, modes and gradients stay", needs=["wraps"])
def leaves_base_alone(stage: WrappedStage) -> None:
    base = copy.deepcopy(ordinary().model)
    before = {name: value.clone() for name, value in base.state_dict().items()}
    asks = [parameter.requires_grad for parameter in base.parameters()]
    training = [module.training for module in base.modules()]
    wrapped = stage.wrap(base)
    with own_random_state(), evaluating(wrapped), frozen(wrapped):
        point = stage.images.requires_grad_(True)
        outputs = wrapped.outputs(point)
        if outputs.requires_grad:
            outputs.sum().backward()
    now = base.state_dict()
    require(
        before.keys() == now.keys()
        and all(torch.equal(value, now[name]) for name, value in before.items()),
        "wrap() or the defended model changes the base model's weights: other rows share it",
    )
    require(
        asks == [parameter.requires_grad for parameter in base.parameters()]
        and training == [module.training for module in base.modules()],
        "the base model is left in another mode, or with other parameters frozen",
    )


@check("bits", "the code length is the base model's", needs=["wraps"])
def bits(stage: WrappedStage) -> None:
    found, wanted = getattr(stage.usual, "bits", None), ordinary().model.bits
    require(found == wanted, f"bits is {found}, the base model's {wanted}")


@check("draws", "draws is a whole number from 1", needs=["wraps"])
def draws(stage: WrappedStage) -> None:
    found = stage.usual.draws
    require(isinstance(found, int) and found >= 1, f"draws is {found!r}")


@check("has-parameters", "it has parameters, which tell its device", needs=["wraps"])
def has_parameters(stage: WrappedStage) -> None:
    require(
        any(True for _ in stage.usual.parameters()),
        "it has no parameter: hold the base model as an attribute, so that it is a submodule",
    )


@check("follows-its-mode", "eval() and train() reach the base model", needs=["wraps"])
def follows_its_mode(stage: WrappedStage) -> None:
    seen: list[bool] = []

    def look(logits: Tensor, _: Tensor) -> Tensor:
        seen.append(base.training)
        return logits

    base = Variant(copy.deepcopy(ordinary().model), look)
    wrapped = stage.wrap(base)
    base.train()
    wrapped.eval()
    with own_random_state(), torch.no_grad():
        wrapped.logits(stage.images)
    # One that works on a copy never asks this base.
    require(not any(seen), "eval() does not reach the base model: hold it as an attribute")


@check("shape", "logits have the shape (B, K)", needs=["wraps"])
def shape(stage: WrappedStage) -> None:
    found = tuple(stage.logits(stage.images).shape)
    wanted = (len(stage.images), ordinary().model.bits)
    require(found == wanted, f"logits have shape {found}, expected {wanted}")


@check("dtype", "logits are float32", needs=["wraps"])
def dtype(stage: WrappedStage) -> None:
    found = stage.logits(stage.images).dtype
    require(found == torch.float32, f"logits are {found}")


@check("finite", "logits hold neither NaN nor infinity", needs=["wraps"])
def finite(stage: WrappedStage) -> None:
    require(bool(torch.isfinite(stage.logits(stage.images)).all()), "logits hold NaN or infinity")


@check(
    "outputs-follow-logits",
    "outputs are tanh(alpha * logits), codes their signs",
    needs=["shape", "finite", "same-seed", "leaves-images-alone"],
)
def outputs_follow_logits(stage: WrappedStage) -> None:
    images, logits = stage.images, stage.logits(stage.images)
    for alpha in (1.0, 0.3):
        with own_random_state(), evaluating(stage.usual), torch.no_grad():
            outputs = stage.usual.outputs(images.clone(), alpha)
        require(
            bool(torch.allclose(outputs, torch.tanh(alpha * logits), atol=ROUNDING)),
            f"outputs(x, {alpha}) is not tanh({alpha} * logits(x)): override logits alone",
        )
    with own_random_state(), evaluating(stage.usual):
        codes = stage.usual.codes(images.clone())
    require(torch.equal(codes, codes_of(logits)), "codes(x) are not the signs of logits(x)")


@check("leaves-images-alone", "images are not changed in place", needs=["wraps"])
def leaves_images_alone(stage: WrappedStage) -> None:
    given = stage.images
    stage.logits(given)
    require(torch.equal(given, stage.images), "it changes its images in place")


@check(
    "gradient",
    "a finite gradient, not 0 everywhere, reaches the image",
    needs=["shape", "finite", "leaves-images-alone"],
)
def gradient(stage: WrappedStage) -> None:
    with own_random_state(), evaluating(stage.usual), frozen(stage.usual):
        point = stage.images.requires_grad_(True)
        logits = stage.usual.logits(point)
        require(
            logits.requires_grad, "no gradient reaches the image: attacks need a way through (BPDA)"
        )
        (found,) = torch.autograd.grad(logits.sum(), point, allow_unused=True)
    require(found is not None, "no gradient reaches the image: attacks need a way through (BPDA)")
    require(bool(torch.isfinite(found).all()), "the gradient at the image holds NaN or infinity")
    require(
        bool(found.any()),
        "the gradient at the image is 0 everywhere: attacks need a way through (BPDA), or its "
        "robustness only hides gradients",
    )


@check("same-seed", "the same random state gives the same logits", needs=["wraps"])
def same_seed(stage: WrappedStage) -> None:
    one, two = stage.logits(stage.images), stage.logits(stage.images)
    require(
        torch.equal(one, two),
        "the same images get other logits from the same random state of torch: keep no state, draw "
        "from torch's process-wide generator",
    )


@check("draws-as-declared", "it draws at random only where draws is above 1", needs=["same-seed"])
def draws_as_declared(stage: WrappedStage) -> None:
    skip_unless(stage.usual.draws == 1, "draws at random")
    one, two = stage.logits(stage.images), stage.logits(stage.images, seed=1)
    require(
        torch.equal(one, two),
        "it draws at random, but draws is 1: set how many passes an attack has to average over",
    )


@check("batch-of-one", "a batch may hold one image", needs=["shape"])
def batch_of_one(stage: WrappedStage) -> None:
    found = tuple(stage.logits(stage.images[:1]).shape)
    require(found == (1, ordinary().model.bits), f"for one image, logits have shape {found}")


@check(
    "batch-split",
    "7 images together and as 3 + 4 get the same logits",
    needs=["batch-of-one", "draws-as-declared"],
)
def batch_split(stage: WrappedStage) -> None:
    skip_unless(stage.usual.draws == 1, "draws at random")
    parts = torch.cat([stage.logits(stage.images[list(chunk)]) for chunk in CHUNKS])
    require(
        bool(torch.allclose(parts, stage.logits(stage.images), atol=ROUNDING)),
        "an image's logits depend on the others of its batch",
    )


@check(
    "in-company",
    "a code depends neither on who else is asked nor on who was asked before",
    needs=["bits", "has-parameters", "finite", "same-seed", "batch-split"],
)
def in_company(stage: WrappedStage) -> None:
    # As many as a run asks: some models answer otherwise in a large batch alone.
    pixels = np.concatenate([world().query.images[:]] * 10)
    with own_random_state():
        codes = encode(stage.usual, pixels).codes
    share = dependent_share(stage.usual, pixels, codes)
    require(
        share == 0,
        f"{100 * share:.0f} % of the codes depend on who else is asked, with the same draws in the "
        "same places, or on who was asked before: a run flags it as batch-dependent-codes",
    )


@check("image-shapes", "it takes grey and coloured images of any size", needs=["shape"])
def image_shapes(stage: WrappedStage) -> None:
    for size in ((1, 28, 28), (3, 32, 32), (3, 9, 13)):
        wrapped = stage.wrap(shape=size)
        with own_random_state(), evaluating(wrapped), torch.no_grad():
            found = tuple(wrapped.logits(ordinary(size).images[:2].clone()).shape)
        require(found == (2, ordinary().model.bits), f"images {size}: logits have shape {found}")


@check("wraps-again", "wrapping the same base again gives the same model", needs=["same-seed"])
def wraps_again(stage: WrappedStage) -> None:
    again = stage.wrap()
    with own_random_state(), evaluating(again), torch.no_grad():
        found = again.logits(stage.images)
    require(
        torch.equal(found, stage.logits(stage.images)),
        "wrapping the same base model again gives other logits",
    )


WRAPPINGS: tuple[Check[WrappedStage], ...] = (
    wraps,
    leaves_base_alone,
    bits,
    draws,
    has_parameters,
    follows_its_mode,
    shape,
    dtype,
    finite,
    leaves_images_alone,
    same_seed,
    draws_as_declared,
    outputs_follow_logits,
    gradient,
    batch_of_one,
    batch_split,
    in_company,
    image_shapes,
    wraps_again,
)
