"""Runs any attack safely: what an author need not think of, and may not get wrong.

Eval mode and frozen parameters, one generator per query, clipping to the ball and the box, pass
counts, contract checks, out-of-memory back-off, and the code of the image that was returned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.data.images import Pixels
from hashbench.errors import PluginError, UsageError
from hashbench.evaluation.goal import Goal, Known
from hashbench.evaluation.randomness import QueryRandom
from hashbench.evaluation.target import AttackedModel
from hashbench.evaluation.threat import Threat
from hashbench.hashing.encode import as_images, device_of, encode, evaluating, frozen
from hashbench.hashing.model import HashModel
from hashbench.plugins.card import Access, Knowledge
from hashbench.plugins.contracts import Attack

Progress = Callable[[int, int], None]
"""(done, total), in queries."""


@dataclass(frozen=True)
class AttackerView:
    """What there is to know about the queries and the model, before the card's filter.

    Attributes:
        query_labels: (Q, classes) of 0 and 1.
        center_codes: (Q, K) of +1, -1, 0.
        train_codes: (N, K) of +1 and -1, under the attacked model.
        train_labels: (N, classes).
    """

    query_labels: NDArray[np.uint8]
    center_codes: NDArray[np.int8]
    train_codes: NDArray[np.int8]
    train_labels: NDArray[np.uint8]


@dataclass(frozen=True)
class AttackOutcome:
    """What an attack did to every query.

    Attributes:
        codes: int8 (Q, K), the codes of the returned images.
        linf: (Q,) largest change of a pixel, in `[0, 1]`.
        l2: (Q,) Euclidean length of the change.
        forwards, backwards: images that went through the model, over all queries, in the attack.
        saturated: share of the returned images' outputs with `|u| = 1` in float32.
        zero_gradients: share of queries whose loss gradient at the clean image is 0 in every pixel,
            or not a number, from which no sign step moves either.
    """

    codes: NDArray[np.int8]
    linf: NDArray[np.float64]
    l2: NDArray[np.float64]
    forwards: int
    backwards: int
    saturated: float
    zero_gradients: float


def run_attack(
    attack: Attack,
    model: HashModel,
    pixels: Pixels,
    view: AttackerView,
    threat: Threat,
    seeds: Sequence[int],
    *,
    batch: int,
    progress: Progress | None = None,
) -> AttackOutcome:
    """Attack all queries.

    Args:
        attack: the plugin.
        model: the defended model, on the device to compute on.
        pixels: the queries, uint8 (Q, C, H, W).
        view: what is known of them.
        threat: the ball.
        seeds: one per query.
        batch: queries per call of the attack; halved where memory runs out.
        progress: told after every batch.

    Raises:
        UsageError: a batch below 1, or not one seed per query.
        PluginError: the attack broke its contract; the message names it and the rule.
    """
    if batch < 1 or len(seeds) != len(pixels):
        raise UsageError(
            "batch must be 1 or more and seeds one per query, "
            f"found batch {batch} and {len(seeds)} seeds for {len(pixels)} queries"
        )
    target = AttackedModel(model, attack.card.name, attack.card.access or Access.GRADIENT)
    adversarial = np.empty(pixels.shape, dtype=np.float32)
    linf = np.zeros(len(pixels))
    l2 = np.zeros(len(pixels))
    silent = 0
    with evaluating(model), frozen(model):
        start = 0
        while start < len(pixels):
            part = slice(start, start + batch)
            counted = target.forwards, target.backwards
            try:
                images = as_images(pixels[part], device_of(model))
                perturbed = _perturb(attack, target, images, view, part, threat, list(seeds[part]))
                silent += _zero_gradients(model, images, view, part)
            except (MemoryError, RuntimeError) as error:
                if batch == 1 or not out_of_memory(error):
                    raise
                # The same queries again: their generators and their counts start afresh.
                batch //= 2
                target.forwards, target.backwards = counted
                continue
            change = (perturbed - images).double().flatten(1)
            linf[part] = change.abs().amax(dim=1).cpu().numpy()
            l2[part] = change.norm(dim=1).cpu().numpy()
            adversarial[part] = perturbed.cpu().numpy()
            start += len(images)
            if progress is not None:
                progress(start, len(pixels))
    # All at once and after the last update: the code of the image that is returned, computed in
    # the same batches as the clean codes, so that eps 0 gives these back bit for bit.
    encoded = encode(model, adversarial)
    return AttackOutcome(
        codes=encoded.codes,
        linf=linf,
        l2=l2,
        forwards=target.forwards,
        backwards=target.backwards,
        saturated=encoded.saturated,
        zero_gradients=silent / len(pixels),
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: on the CPU torch says so in a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(
        error
    )


def _perturb(
    attack: Attack,
    target: AttackedModel,
    images: Tensor,
    view: AttackerView,
    part: slice,
    threat: Threat,
    seeds: list[int],
) -> Tensor:
    name = attack.card.name
    goal = Goal(
        attack=name,
        known=_known(view, part, images.device),
        with_labels=Knowledge.LABELS in attack.card.knowledge,
        with_training=Knowledge.TRAINING in attack.card.knowledge,
    )
    given = images.clone()
    perturbed = attack.perturb(target, given, goal, threat, QueryRandom(seeds, images.device))
    if not isinstance(perturbed, Tensor):
        raise PluginError(
            f"attack '{name}' must return a tensor, but returned {type(perturbed).__name__}"
        )
    if not torch.equal(given, images):
        raise PluginError(f"attack '{name}' must not change its input images in place, but did")
    if perturbed.shape != images.shape:
        raise PluginError(
            f"attack '{name}' must return images of shape {tuple(images.shape)}, "
            f"but returned {tuple(perturbed.shape)}"
        )
    if perturbed.dtype != images.dtype:
        raise PluginError(
            f"attack '{name}' must return {images.dtype} images, but returned {perturbed.dtype}"
        )
    perturbed = perturbed.detach()
    if not torch.isfinite(perturbed).all():
        raise PluginError(
            f"attack '{name}' must return finite images, but returned NaN or infinity"
        )
    return threat.project(perturbed, images)


def _known(view: AttackerView, part: slice, device: torch.device) -> Known:
    return Known(
        labels=torch.from_numpy(view.query_labels[part]).float().to(device),
        center_codes=torch.from_numpy(view.center_codes[part]).float().to(device),
        train_codes=torch.from_numpy(view.train_codes).float().to(device),
        train_labels=torch.from_numpy(view.train_labels).float().to(device),
    )


def _zero_gradients(model: HashModel, images: Tensor, view: AttackerView, part: slice) -> int:
    """How many queries give an attacker no gradient at all: masked, or saturated in float32."""
    centers = torch.from_numpy(view.center_codes[part]).float().to(images.device)
    with torch.enable_grad():
        point = images.clone().requires_grad_(True)
        # Summed over the batch, so that a query's gradient does not shrink towards 0 with its size.
        agreement = (model.outputs(point) * centers).mean(dim=1).sum()
        (gradient,) = torch.autograd.grad(agreement, point)
    # Written so that NaN counts: its sign is 0 in torch, and an attack by sign steps stands still.
    return int((~(gradient.flatten(1).abs().amax(dim=1) > 0)).sum())
