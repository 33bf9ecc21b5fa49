"""Checks of backbones, in the order in which they are tried."""
# ruff: noqa: D103 - the rule of a check says what it does

from __future__ import annotations

import copy
import math
from typing import Final

import torch
from torch import Tensor

from hashbench.errors import PluginError, UsageError
from hashbench.hashing.answers import built
from hashbench.hashing.contract import Backbone
from hashbench.hashing.encode import evaluating
from hashbench.hashing.memory import refuse_unsavable
from hashbench.testing.backbone_stage import BATCH, BackboneStage, normalised, spec_of
from hashbench.testing.checking import (
    Check,
    NotKeptError,
    NotTriedError,
    check,
    require,
    said,
    skip_unless,
)
from hashbench.testing.surroundings import own_random_state
from hashbench.testing.world import BITS, Shape

ROUNDING: Final = 1e-4
"""How much of its size a feature may move with its batch: float32 adds up in another order."""

PASSES: Final = 5
"""How often a network in training mode is asked: it may leave parts out by chance."""


@check("builds", "build() returns a BackboneNet with a network, and the number of its features")
def builds(stage: BackboneStage) -> None:
    stage.usual  # noqa: B018 - raises what the backbone raises


@check(
    "normalisation",
    "mean and std are finite numbers of [0, 1] pixels, and no std is 0",
    needs=["builds"],
)
def normalisation(stage: BackboneStage) -> None:
    net = stage.usual
    values = (*net.mean, *net.std)
    require(
        all(isinstance(value, int | float) and math.isfinite(value) for value in values),
        f"mean {net.mean} and std {net.std} are not all finite numbers",
    )
    require(all(value > 0 for value in net.std), f"std {net.std} has a value that is not above 0")
    require(
        all(-1 <= value <= 2 for value in values),
        f"mean {net.mean} and std {net.std} are of 0 to 255: they count in [0, 1] pixels, so "
        "divide by 255, or take images.mean and images.std",
    )


@check("answers", "its network takes a batch of normalised images", needs=["builds"])
def answers(stage: BackboneStage) -> None:
    stage.features()


@check("shape", "it gives a tensor (B, features) of as many features as it says", needs=["answers"])
def shape(stage: BackboneStage) -> None:
    found, wanted = stage.features(), (BATCH, stage.usual.features)
    require(isinstance(found, Tensor), f"it gives {type(found).__name__}, not a tensor")
    require(
        tuple(found.shape) == wanted,
        f"it gives features of shape {tuple(found.shape)} for {BATCH} images, but says "
        f"features={stage.usual.features}: pool and flatten to (B, features)",
    )


@check("dtype", "its features are float32", needs=["answers"])
def dtype(stage: BackboneStage) -> None:
    found = stage.features().dtype
    require(found == torch.float32, f"its features are {found}, expected torch.float32")


@check("finite", "its features hold neither NaN nor infinity", needs=["shape"])
def finite(stage: BackboneStage) -> None:
    require(bool(torch.isfinite(stage.features()).all()), "its features hold NaN or infinity")


@check("tells-images-apart", "different images have different features", needs=["finite"])
def tells_images_apart(stage: BackboneStage) -> None:
    found = stage.features()
    require(
        not torch.equal(found, found[:1].expand_as(found)),
        "all images have the same features: does its input reach its output?",
    )


@check("leaves-images-alone", "it does not change its images in place", needs=["answers"])
def leaves_images_alone(stage: BackboneStage) -> None:
    given = stage.images.clone()
    with own_random_state(), evaluating(stage.usual.module), torch.no_grad():
        stage.usual.module(given)
    require(torch.equal(given, stage.images), "it changes its images in place")


@check(
    "repeats", "in eval mode the same images give the same features, bit for bit", needs=["finite"]
)
def repeats(stage: BackboneStage) -> None:
    module = stage.usual.module
    with evaluating(module), torch.no_grad():
        found = []
        for seed in (0, 1):
            with own_random_state(seed):
                found.append(module(stage.images.clone()))
    require(
        torch.equal(*found),
        "asked twice in eval mode it gives other features: it draws, or keeps something of a call",
    )


@check(
    "batch-split",
    "an image's features do not depend on its batch, to float32's rounding",
    needs=["repeats"],
)
def batch_split(stage: BackboneStage) -> None:
    whole = stage.features()
    parts = torch.cat([stage.features(stage.images[at : at + 1]) for at in range(BATCH)])
    gap = float((whole - parts).abs().max())
    require(
        gap <= ROUNDING * max(1.0, float(whole.abs().max())),
        f"alone an image's features move by {gap:.5f}: use no statistics of the batch in eval mode",
    )


@check(
    "gradient",
    "the features have a finite gradient by the images, not 0",
    needs=["finite", "leaves-images-alone"],
)
def gradient(stage: BackboneStage) -> None:
    module = copy.deepcopy(stage.usual.module)
    point = stage.images.clone().requires_grad_(True)
    with own_random_state(), evaluating(module):
        features = module(point)
    require(
        features.requires_grad,
        "no gradient reaches the images: no detach(), no no_grad(), no rounding on the way",
    )
    (found,) = torch.autograd.grad(features.square().sum(), point, allow_unused=True)
    require(found is not None, "no gradient reaches the images")
    assert found is not None
    require(bool(torch.isfinite(found).all()), "the gradient by the images is not finite")
    require(bool(found.any()), "the gradient by the images is 0 everywhere")


@check(
    "trains",
    "in training mode every weight that wants one gets a gradient",
    needs=["finite", "leaves-images-alone"],
)
def trains(stage: BackboneStage) -> None:
    module = copy.deepcopy(stage.usual.module).train()
    wanting = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    require(bool(wanting), "it has no weight that is trained: is requires_grad switched off?")
    without = list(wanting)
    for seed in range(PASSES):
        with own_random_state(seed):
            features = module(stage.images.clone())
            if features.requires_grad:
                features.square().sum().backward()
        without = [name for name, weight in wanting.items() if weight.grad is None]
        if not without:
            return
    require(
        len(without) < len(wanting),
        "no weight of it gets a gradient: no detach() and no no_grad() in training mode",
    )
    require(
        False,
        f"{len(without)} of its {len(wanting)} weights get no gradient, the first is "
        f"'{without[0]}': no detach() and no no_grad() behind it in training mode, and build no "
        "weight that is not used, or set its requires_grad to False",
    )


@check("follows-its-mode", "train() and eval() reach all of its modules", needs=["builds"])
def follows_its_mode(stage: BackboneStage) -> None:
    module = copy.deepcopy(stage.usual.module)
    for mode in (True, False):
        module.train(mode)
        stuck = [name for name, part in module.named_modules() if part.training is not mode]
        require(
            not stuck,
            f"after {'train' if mode else 'eval'}() its part '{stuck[0] if stuck else ''}' is in "
            "the other mode",
        )


@check("other-sizes", "it takes images of another size, or refuses them by name", needs=["shape"])
def other_sizes(stage: BackboneStage) -> None:
    channels, height, width = stage.shape
    _on(stage, (channels, height + 9, width + 4))


@check("grey-images", "it takes images of one channel, or refuses them by name", needs=["shape"])
def grey_images(stage: BackboneStage) -> None:
    _, height, width = stage.shape
    _on(stage, (1, height, width))


def _on(stage: BackboneStage, shape: Shape) -> None:
    """It takes images of a shape, or refuses them by name."""
    size = " x ".join(map(str, shape))
    try:
        net = stage.net(shape)
    except UsageError:
        raise NotTriedError(f"refuses images of {size}") from None
    except PluginError as error:
        raise NotKeptError(str(error)) from error
    try:
        found = stage.features(normalised(net, shape), net)
    except Exception as error:  # a network raises whatever it likes
        raise NotKeptError(
            f"images of {size}: its network raised {said(error)}; build it for images.channels, "
            "images.height and images.width, or raise hashbench.UsageError in build()"
        ) from error
    require(
        tuple(found.shape) == (BATCH, net.features),
        f"images of {size}: it gives features of shape {tuple(found.shape)}, and says "
        f"{net.features}",
    )


@check("same-seed", "fresh weights come from torch's random state alone", needs=["savable"])
def same_seed(stage: BackboneStage) -> None:
    again = stage.net().module.state_dict()
    for name, value in stage.usual.module.state_dict().items():
        require(
            name in again and torch.equal(value, again[name]),
            f"built again under the same seed, its '{name}' is another: draw from torch's "
            "process-wide generator",
        )


@check("savable", "its state dict holds plain tensors alone", needs=["builds"])
def savable(stage: BackboneStage) -> None:
    try:
        refuse_unsavable(stage.usual.module)
    except UsageError as error:
        require(False, str(error))


@check(
    "state-dict",
    "the state dict of one network makes another one answer as it does",
    needs=["repeats", "savable"],
)
def state_dict(stage: BackboneStage) -> None:
    other = stage.net(seed=1)
    try:
        other.module.load_state_dict(copy.deepcopy(stage.usual.module.state_dict()))
    except RuntimeError as error:
        require(False, f"a second network does not load it: {str(error).splitlines()[-1].strip()}")
    require(
        torch.equal(stage.features(net=other), stage.features()),
        "a second network that loaded its state dict gives other features: keep what changes them "
        "in parameters and buffers",
    )


@check(
    "bare",
    "bare() builds a network with the same entries of its state dict",
    needs=["savable"],
    method="bare",
)
def bare(stage: BackboneStage) -> None:
    found = stage.plugin.bare()
    require(
        isinstance(found, Backbone),
        f"bare() returned {type(found).__name__}, not a Backbone: return self, or "
        "dataclasses.replace(self, weights=...)",
    )
    require(found.bare() == found, "bare() of what bare() returns is another backbone again")
    skip_unless(not stage.fetched, "its own weights would be fetched")
    with own_random_state():
        ours = built(stage.plugin, spec_of(stage.shape)).module.state_dict()
        theirs = built(found, spec_of(stage.shape)).module.state_dict()
    differing = {
        name
        for name in {**ours, **theirs}
        if name not in ours or name not in theirs or ours[name].shape != theirs[name].shape
    }
    require(
        not differing,
        f"bare() builds another network: '{min(differing, default='')}' differs, so weights that "
        "were stored would not fit",
    )


@check(
    "in-a-model",
    "a hashing model on it gives codes, and a gradient to [0, 1] pixels",
    needs=["gradient"],
)
def in_a_model(stage: BackboneStage) -> None:
    model = stage.model()
    images = torch.rand((BATCH, *stage.shape), generator=torch.Generator().manual_seed(6))
    point = images.requires_grad_(True)
    with own_random_state():
        outputs = model.outputs(point)
    require(tuple(outputs.shape) == (BATCH, BITS), f"its outputs have shape {tuple(outputs.shape)}")
    (found,) = torch.autograd.grad(outputs.sum(), point)
    require(bool(torch.isfinite(found).all()), "the gradient by the pixels is not finite")


@check(
    "leaves-other-models-alone",
    "it leaves nothing behind that another model's codes depend on",
    needs=["answers"],
)
def leaves_other_models_alone(stage: BackboneStage) -> None:
    stage.features()
    require(
        not stage.bystander.changed(),
        "after it was built and asked, a model that it was not given answers otherwise: leave no "
        "hook, and patch no class",
    )


BACKBONES: tuple[Check[BackboneStage], ...] = (
    builds,
    normalisation,
    answers,
    shape,
    dtype,
    finite,
    tells_images_apart,
    leaves_images_alone,
    repeats,
    batch_split,
    gradient,
    trains,
    follows_its_mode,
    other_sizes,
    grey_images,
    savable,
    same_seed,
    state_dict,
    bare,
    in_a_model,
    leaves_other_models_alone,
)
