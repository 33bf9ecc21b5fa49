"""Runs any attack safely: what an author need not think of, and may not get wrong.

Eval mode and frozen parameters, one generator per query, clipping to the box, pass counts and their
limit, contract checks, out-of-memory back-off, and the code of the image that was returned.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.attacking.attacked_model import AttackedModel, OutOfPassesError
from hashbench.attacking.contract import Attack
from hashbench.attacking.goal import Goal, Known, OwnModel
from hashbench.attacking.randomness import QueryRandom
from hashbench.attacking.threat import Threat
from hashbench.data.images import Pixels
from hashbench.errors import PluginError, UsageError
from hashbench.hashing.encode import as_images, device_of, encode, evaluating, frozen
from hashbench.hashing.model import HashModel
from hashbench.plugins.card import Access, Knowledge
from hashbench.progress import Progress

ROUNDING = 1e-6
"""How far an answer may leave the ball: float32 rounding of a pixel, no more."""


@dataclass(frozen=True)
class SurrogateView:
    """A surrogate, and what its training codes say of the queries.

    Attributes:
        model: on the device to compute on.
        center_codes: (Q, K') of +1, -1, 0, from its own training codes.
        train_codes: (N, K') of +1 and -1, under the surrogate.
    """

    model: HashModel
    center_codes: NDArray[np.int8]
    train_codes: NDArray[np.int8]


@dataclass(frozen=True)
class AttackerView:
    """What there is to know about the queries and the model, before the card's filter.

    Attributes:
        query_labels: (Q, classes) of 0 and 1.
        center_codes: (Q, K) of +1, -1, 0.
        train_codes: (N, K) of +1 and -1, under the attacked model.
        train_labels: (N, classes).
        target_labels: (Q, classes), for targeted attacks: what each query is to be led to.
        database_codes: (M, K), for attacks that ask for ranked lists.
        surrogate: for attacks that have a model of their own.
        network: of a trained attack.
    """

    query_labels: NDArray[np.uint8]
    center_codes: NDArray[np.int8]
    train_codes: NDArray[np.int8]
    train_labels: NDArray[np.uint8]
    target_labels: NDArray[np.uint8] | None = None
    database_codes: NDArray[np.int8] | None = None
    surrogate: SurrogateView | None = None
    network: nn.Module | None = None


@dataclass(frozen=True)
class AttackOutcome:
    """What an attack did to every query.

    Attributes:
        codes: int8 (Q, K), the codes of the returned images.
        linf: (Q,) largest change of a pixel, in `[0, 1]`.
        l2: (Q,) Euclidean length of the change.
        forwards, backwards: images that went through the model, over all queries, in the attack;
            through a surrogate as well.
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
    limit: float = math.inf,
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
        limit: forward passes per query, through the model and a surrogate each; so many times as
            many at a model that draws.
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
    device = device_of(model)
    target = AttackedModel(
        model,
        attack.card.name,
        attack.card.access or Access.GRADIENT,
        database_codes=_tensor(view.database_codes, device),
    )
    own = _surrogate(attack, view)
    adversarial = np.empty(pixels.shape, dtype=np.float32)
    linf = np.zeros(len(pixels))
    l2 = np.zeros(len(pixels))
    silent = 0
    with _at_rest(model, view):
        start = 0
        while start < len(pixels):
            part = slice(start, start + batch)
            counted = [(one, one.forwards, one.backwards) for one in (target, own) if one]
            try:
                images = as_images(pixels[part], device)
                for one, _, _ in counted:
                    one.allow(limit * len(images) * model.draws)
                goal = _goal(attack, view, part, device, own)
                perturbed = _perturb(attack, target, images, goal, threat, list(seeds[part]))
                silent += _zero_gradients(model, images, goal.known.center_codes)
            except OutOfPassesError:
                raise PluginError(
                    f"attack '{attack.card.name}' must return within {limit:,} passes per query, "
                    "but asked for more; [limits] passes of a suite sets how many"
                ) from None
            except (MemoryError, RuntimeError) as error:
                if batch == 1 or not out_of_memory(error):
                    raise
                # The same queries again: their generators and their counts start afresh.
                batch //= 2
                for one, forwards, backwards in counted:
                    one.forwards, one.backwards = forwards, backwards
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
        forwards=target.forwards + (own.forwards if own else 0),
        backwards=target.backwards + (own.backwards if own else 0),
        saturated=encoded.saturated,
        zero_gradients=silent / len(pixels),
    )


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out: on the CPU torch says so in a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(
        error
    )


@contextmanager
def _at_rest(model: HashModel, view: AttackerView) -> Iterator[None]:
    """Every network that takes part in eval mode and frozen; restored after."""
    taking_part: list[nn.Module] = [model]
    if view.surrogate is not None:
        taking_part.append(view.surrogate.model)
    if view.network is not None:
        taking_part.append(view.network)
    with ExitStack() as stack:
        for network in taking_part:
            stack.enter_context(evaluating(network))
            stack.enter_context(frozen(network))
        yield


def _surrogate(attack: Attack, view: AttackerView) -> AttackedModel | None:
    return None if view.surrogate is None else AttackedModel(view.surrogate.model, attack.card.name)


def _goal(
    attack: Attack,
    view: AttackerView,
    part: slice,
    device: torch.device,
    own: AttackedModel | None,
) -> Goal:
    """What the attack is told of a part of the queries, through the surrogate's eyes too."""
    targets = view.target_labels
    known = Known(
        labels=torch.from_numpy(view.query_labels[part]).float().to(device),
        center_codes=torch.from_numpy(view.center_codes[part]).float().to(device),
        train_codes=torch.from_numpy(view.train_codes).float().to(device),
        train_labels=torch.from_numpy(view.train_labels).float().to(device),
        target_labels=_tensor(None if targets is None else targets[part], device),
    )
    goal = Goal(
        attack=attack.card.name,
        known=known,
        with_labels=Knowledge.LABELS in attack.card.knowledge,
        with_training=Knowledge.TRAINING in attack.card.knowledge,
        aim=attack.aim(),
        network=view.network,
    )
    if view.surrogate is None or own is None:
        return goal
    seen = replace(
        known,
        center_codes=torch.from_numpy(view.surrogate.center_codes[part]).float().to(device),
        train_codes=torch.from_numpy(view.surrogate.train_codes).float().to(device),
    )
    return replace(goal, own_model=OwnModel(own, replace(goal, known=seen)))


def _tensor(array: NDArray[Any] | None, device: torch.device) -> Tensor | None:
    return (
        None if array is None else torch.from_numpy(np.ascontiguousarray(array)).float().to(device)
    )


def _perturb(
    attack: Attack,
    target: AttackedModel,
    images: Tensor,
    goal: Goal,
    threat: Threat,
    seeds: list[int],
) -> Tensor:
    name = attack.card.name
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
    perturbed = perturbed.detach().to(images.device)
    if not torch.isfinite(perturbed).all():
        raise PluginError(
            f"attack '{name}' must return finite images, but returned NaN or infinity"
        )
    # An answer beyond the box costs its author strength and is clipped; one beyond the ball would
    # be another threat, and what is left of it after clipping another attack than the author's.
    change = float((perturbed.clamp(0, 1) - images).abs().max()) if len(images) else 0.0
    if change > threat.radius + ROUNDING:
        raise PluginError(
            f"attack '{name}' must stay in the ball of radius {threat.eps} "
            f"({threat.radius:.6f}), but changed a pixel by {change:.6f}"
        )
    return threat.project(perturbed, images)


def _zero_gradients(model: HashModel, images: Tensor, centers: Tensor) -> int:
    """How many queries give an attacker no gradient at all: masked, or saturated in float32."""
    with torch.enable_grad():
        point = images.clone().requires_grad_(True)
        # Summed over the batch, so that a query's gradient does not shrink towards 0 with its size.
        agreement = (model.outputs(point) * centers).mean(dim=1).sum()
        if not agreement.requires_grad:  # cut off somewhere: no attack by gradients works
            return len(images)
        (gradient,) = torch.autograd.grad(agreement, point, allow_unused=True)
    if gradient is None:
        return len(images)
    # Written so that NaN counts: its sign is 0 in torch, and an attack by sign steps stands still.
    return int((~(gradient.flatten(1).abs().amax(dim=1) > 0)).sum())
