"""Runs any attack safely: what an author need not think of, and may not get wrong.

Eval mode and frozen parameters, one stream per query, clipping to the box, whole pixels, pass
counts and their limit, contract checks, out-of-memory back-off, and the code of the image that was
returned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.attacking.answer import Answer, read_at_once
from hashbench.attacking.attacked_model import AttackedModel, OutOfPassesError
from hashbench.attacking.attacker import Attacker
from hashbench.attacking.contract import Attack
from hashbench.attacking.goal import Goal
from hashbench.attacking.halving import part_by_part
from hashbench.attacking.randomness import QueryRandom
from hashbench.attacking.threat import Threat
from hashbench.data.images import Pixels
from hashbench.eps import Norm
from hashbench.errors import PluginError, UsageError
from hashbench.hashing.encode import BlockEncoder, as_images, device_of, evaluating, frozen
from hashbench.hashing.model import HashModel
from hashbench.hashing.precision import Precision, computing_in
from hashbench.plugins.blame import defined_at, own_place, sentence_of
from hashbench.plugins.card import Access
from hashbench.progress import Progress


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
    attacker: Attacker,
    threat: Threat,
    seeds: Sequence[int],
    *,
    batch: int,
    limit: float = math.inf,
    search: Precision | None = None,
    progress: Progress | None = None,
    seen: Callable[[Tensor], None] | None = None,
) -> AttackOutcome:
    """Attack all queries.

    The attacked images are never all in memory: a block of them is encoded as soon as it is full.

    Args:
        attack: the plugin.
        model: the defended model, on the device to compute on.
        pixels: the queries, uint8 (Q, C, H, W).
        attacker: what is known of them, and what he brings along.
        threat: the ball.
        seeds: one per query.
        batch: queries per call of the attack; halved where memory runs out.
        limit: forward passes per query, through the model and a surrogate each; so many times as
            many at a model that draws.
        search: in which floats the attack looks for its images; by default those of the model. What
            it returns is judged in the model's own.
        progress: told after every batch, and within one whenever the passes that were made of those
            that the attack announces are another query's worth.
        seen: shown the images that are scored, float32 (B, C, H, W), part by part in order; it may
            not change them.

    Raises:
        UsageError: a batch below 1, not one seed per query, or a ball of a norm that the attack's
            card does not name; nothing was computed.
        PluginError: the attack broke its contract; the message names it and the rule.
    """
    refuse_norm(attack, threat)
    if batch < 1 or len(seeds) != len(pixels):
        raise UsageError(
            "batch must be 1 or more and seeds one per query, "
            f"found batch {batch} and {len(seeds)} seeds for {len(pixels)} queries"
        )
    run = _Run(attack, model, pixels, attacker.to(device_of(model)), threat, seeds, limit, search)
    # The code of the image that is returned, after the last update, computed in the same blocks as
    # the clean codes, so that eps 0 gives these back bit for bit.
    codes = BlockEncoder(model, len(pixels))
    # Filled in, not gathered: small tensors of a batch that outlive its large ones keep the C
    # library from using their memory again, and the process grows with every batch.
    linf, l2 = np.zeros(len(pixels)), np.zeros(len(pixels))
    done = silent = 0

    def keep(part: _Part) -> None:
        nonlocal done, silent
        codes.add(part.images)
        if seen is not None:
            seen(part.images)
        rows = slice(done, done + len(part.images))
        linf[rows], l2[rows] = part.linf, part.l2
        silent += part.silent
        done = rows.stop
        if progress is not None:
            progress(done, len(pixels))

    def within(queries: int) -> None:
        if progress is not None:
            progress(done + queries, len(pixels))

    run.watch(within)
    with _at_rest(model, attacker):
        part_by_part(len(pixels), batch, run.attacked, keep)
    encoded = codes.encoded()
    return AttackOutcome(
        codes=encoded.codes,
        linf=linf,
        l2=l2,
        forwards=sum(one.forwards for one in run.asked),
        backwards=sum(one.backwards for one in run.asked),
        saturated=encoded.saturated,
        zero_gradients=silent / len(pixels),
    )


def attacked_together(
    attack: Attack,
    model: HashModel,
    pixels: Pixels,
    attacker: Attacker,
    threat: Threat,
    seeds: Sequence[int],
    *,
    limit: float = math.inf,
    search: Precision | None = None,
) -> Tensor:
    """What an attack makes of some queries in a single call, as `run_attack` asks it for a batch.

    Args:
        attack: the plugin.
        model: the defended model, on the device to compute on.
        pixels: the queries, uint8 (Q, C, H, W).
        attacker: what is known of them, and what he brings along.
        threat: the ball.
        seeds: one per query.
        limit: as for `run_attack`.
        search: likewise.

    Returns:
        The images, float32 (Q, C, H, W) in `[0, 1]`, in the ball.

    Raises:
        UsageError: a ball of a norm that the attack's card does not name.
        PluginError: the attack broke its contract.
        MemoryError, RuntimeError: memory ran out.
    """
    refuse_norm(attack, threat)
    run = _Run(attack, model, pixels, attacker.to(device_of(model)), threat, seeds, limit, search)
    with _at_rest(model, attacker):
        return run.attacked(slice(len(pixels))).images


def refuse_norm(attack: Attack, threat: Threat) -> None:
    """Go on where the attack works in balls of this norm, as its card says.

    Raises:
        UsageError: it does not.
    """
    works_in = attack.card.norms or {Norm.LINF}
    if threat.norm not in works_in:
        raise UsageError(
            f"attack '{attack.card.name}' works in balls of {' and '.join(sorted(works_in))}, but "
            f"the radius {threat.eps} is of {threat.norm}"
        )


@contextmanager
def _at_rest(model: HashModel, attacker: Attacker) -> Iterator[None]:
    """Every network that takes part in eval mode and frozen; restored after."""
    taking_part: list[nn.Module] = [model]
    if attacker.surrogate is not None:
        taking_part.append(attacker.surrogate.model)
    if attacker.network is not None:
        taking_part.append(attacker.network)
    with ExitStack() as stack:
        for network in taking_part:
            stack.enter_context(evaluating(network))
            stack.enter_context(frozen(network))
        yield


@dataclass(frozen=True)
class _Part:
    """What became of some of the queries.

    Attributes:
        images: what was returned for them, (B, C, H, W), settled as the threat says.
        linf, l2: (B,), as of `AttackOutcome`.
        silent: how many of them give no gradient.
    """

    images: Tensor
    linf: NDArray[np.float64]
    l2: NDArray[np.float64]
    silent: int


class _Run:
    """One attack on one model, for whichever part of the queries."""

    def __init__(
        self,
        attack: Attack,
        model: HashModel,
        pixels: Pixels,
        attacker: Attacker,
        threat: Threat,
        seeds: Sequence[int],
        limit: float,
        search: Precision | None,
    ) -> None:
        self.attack = attack
        self.search = search
        self.name = attack.card.name
        self.model = model
        self.pixels = pixels
        self.attacker = attacker
        self.threat = threat
        self.seeds = seeds
        self.limit = limit
        access = attack.card.access or Access.GRADIENT
        codes, surrogate = attacker.database_codes, attacker.surrogate
        self.target = AttackedModel(model, self.name, access, database_codes=codes)
        self.own = None if surrogate is None else AttackedModel(surrogate.model, self.name)
        # Of the part that is being attacked: its size, passes before it, and what was told of it.
        self._size = self._worth = 0
        self._at = [0 for _ in self.asked]

    def watch(self, told: Callable[[int], None]) -> None:
        """Tell how many queries' worth of its passes a part has made, whenever it is one more."""
        each = 0
        with suppress(Exception):  # a plugin may raise anything, and an estimate ends no run
            each = self.attack.passes() * self.model.draws
        if each <= 0:
            return

        def passed() -> None:
            made = max(one.forwards - at for one, at in zip(self.asked, self._at, strict=True))
            # The last one is told by the answer itself.
            worth = min(self._size - 1, made // each)
            if worth > self._worth:
                self._worth = worth
                told(worth)

        for one in self.asked:
            one.watched_by(passed)

    @property
    def asked(self) -> list[AttackedModel]:
        """The models whose passes count."""
        return [one for one in (self.target, self.own) if one is not None]

    def _searching(self) -> AbstractContextManager[None]:
        if self.search is None:
            return nullcontext()
        surrogate = self.attacker.surrogate
        return computing_in(self.search, self.model, *([surrogate.model] if surrogate else []))

    def attacked(self, part: slice) -> _Part:
        """Attack a part; where memory runs out, it is as if it had never been tried."""
        counted = [(one, one.forwards, one.backwards) for one in self.asked]
        try:
            images = as_images(self.pixels[part], device_of(self.model))
            self._size, self._worth = len(images), 0
            self._at = [one.forwards for one in self.asked]
            for one in self.asked:
                one.allow(self.limit * len(images) * self.model.draws)
            known = self.attacker.rows(part)
            answer = self._perturbed(images, known.goal(self.attack, self.own), self.seeds[part])
            silent = _zero_gradients(self.model, images, known.known.center_codes)
            settled = self.threat.settled(answer.images, images)
            change = (settled - images).flatten(1)
            told = [change.abs().amax(dim=1).double(), change.double().norm(dim=1), silent.double()]
            # All that is asked of this part's tensors is read at once: that waits for the device.
            *flags, linf, l2, masked = read_at_once([*answer.flags, *told])
            answer.check(flags)
            return _Part(images=settled, linf=linf, l2=l2, silent=int(masked.sum()))
        except OutOfPassesError:
            raise PluginError(
                sentence_of(
                    f"attack '{self.name}' must return within {self.limit:,} passes per query, "
                    "but asked for more; [limits] passes of a suite sets how many",
                    self.attack,
                    "perturb",
                )
            ) from None
        except PluginError as error:
            place = own_place(error, self.attack) if error.__cause__ is None else ""
            place = place or defined_at(self.attack, "perturb")
            raise PluginError(f"{error} ({place})" if place else str(error)) from error
        except (MemoryError, RuntimeError):
            for one, forwards, backwards in counted:
                one.forwards, one.backwards = forwards, backwards
            raise

    def _perturbed(self, images: Tensor, goal: Goal, seeds: Sequence[int]) -> Answer:
        """The attack's answer; what the host can see of it is checked."""
        name, threat = self.name, self.threat
        given = images.clone()
        # Not compared with copies: the training codes are large, and the same for every part.
        told = self.attacker.tensors()
        versions = {what: tensor._version for what, tensor in told.items()}
        rng = QueryRandom(list(seeds), images.device)
        with self._searching():
            perturbed = self.attack.perturb(self.target, given, goal, threat, rng)
        if not isinstance(perturbed, Tensor):
            raise PluginError(
                f"attack '{name}' must return a tensor, but returned {type(perturbed).__name__}"
            )
        found = perturbed.detach().to(images.device)
        alike = found.shape == images.shape and found.dtype == images.dtype
        answer = Answer(name, threat, images, found if alike else images, given)
        changed = [what for what, tensor in told.items() if tensor._version != versions[what]]
        if alike and not changed:
            return answer
        answer.check(read_at_once(answer.flags))
        if changed:
            raise PluginError(
                f"attack '{name}' must not change what it is told in place, but changed "
                f"{changed[0]}"
            )
        if perturbed.shape != images.shape:
            raise PluginError(
                f"attack '{name}' must return images of shape {tuple(images.shape)}, "
                f"but returned {tuple(perturbed.shape)}"
            )
        raise PluginError(
            f"attack '{name}' must return {images.dtype} images, but returned {perturbed.dtype}"
        )


def _zero_gradients(model: HashModel, images: Tensor, centers: Tensor) -> Tensor:
    """Which queries give an attacker no gradient at all, (B,): masked, or saturated in float32."""
    everyone = torch.ones(len(images), dtype=torch.bool, device=images.device)
    with torch.enable_grad():
        point = images.clone().requires_grad_(True)
        # Summed over the batch, so that a query's gradient does not shrink towards 0 with its size.
        agreement = (model.outputs(point) * centers).mean(dim=1).sum()
        if not agreement.requires_grad:  # cut off somewhere: no attack by gradients works
            return everyone
        (gradient,) = torch.autograd.grad(agreement, point, allow_unused=True)
    if gradient is None:
        return everyone
    # Written so that NaN counts: its sign is 0 in torch, and an attack by sign steps stands still.
    return ~(gradient.flatten(1).abs().amax(dim=1) > 0)
