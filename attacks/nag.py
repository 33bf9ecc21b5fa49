"""NAG: a targeted attack on the attacker's own model, made to transfer by noise."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from torch import Tensor
from typing_extensions import override

from hashbench.attacking import (
    AttackedModel,
    BatchLoss,
    Direction,
    Goal,
    OutputLoss,
    QueryRandom,
    SignDescent,
    Threat,
    anchor_codes,
    descend,
    steepest_step,
)
from hashbench.errors import UsageError
from hashbench.plugins import Access, Aim, Knowledge, Norm, PixelSize, Surrogate, attack


class NoiseShape(StrEnum):
    """How NAG's noise is drawn, for a level n."""

    UNIFORM = "uniform"
    """Uniform in `[-n, n]`."""

    GAUSSIAN = "gaussian"
    """Normal of standard deviation n / 3, clipped to `[-n, n]`."""

    def draw(self, rng: QueryRandom, shape: tuple[int, ...], level: float) -> Tensor:
        """Noise of shape (B, *shape)."""
        if self is NoiseShape.UNIFORM:
            return rng.uniform(shape, -level, level)
        return (level / 3 * rng.normal(shape)).clamp(-level, level)


@attack(
    "nag",
    cite="Xiao and Wang, You See What I Want You To See, CVPR 2021",
    access=Access.NONE,
    presets={"early-stop": {"stop_distance": 2}},
    knowledge=(Knowledge.TRAINING,),
    aim=Aim.TARGETED,
    norms=(Norm.LINF, Norm.L2),
)
@dataclass(frozen=True)
class NAG(SignDescent):
    """Pull a surrogate's code to the code of an image of the target, with and without noise.

    Minimises `mean_k |u_k(x) - t_k| + weight * mean_k |u_k(x + r) - t_k|` in the surrogate, r drawn
    anew in every step and not clipped; a point that still lies near the target's code under noise
    lies deep in its cell, and more likely in another model's as well. t is the surrogate's code of
    a random training image whose label row is the target's. With `stop_distance` a query is left
    alone once its code is so near to t; one without a target is from the start. The attacked model
    is never asked; the surrogate is undefended, of another seed.

    As the authors' script: 32 sign steps of 1/255 from the image; rule `mi` is its `miFGSM`, `di`
    its `iFGSMDI`. Its early stop, at 2 bits, is off unless asked for: preset `early-stop`. What
    differs: there the change is bounded by the number of steps alone, here by the run's ball too;
    there the point may wander out of `[0, 1]` between steps; and t is any image's code there.

    Attributes:
        weight: lambda, of the noisy term.
        noise: level of the noise, in `[0, 1]` pixels.
        noise_shape: uniform, or normal and clipped.
        stop_distance: in bits, in the surrogate; `None` never stops.
        backbone: of the surrogate; the attacked model's where there is none.
        hashing_loss: of the surrogate, likewise.
    """

    steps: int = 32
    random_start: bool = False
    weight: float = 1.0
    noise: PixelSize = 16 / 255
    noise_shape: NoiseShape = NoiseShape.UNIFORM
    stop_distance: int | None = None
    backbone: str | None = None
    hashing_loss: str | None = None

    @override
    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("weight", "noise"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(f"{name} must be a number from 0, found {getattr(self, name)}")
        if self.stop_distance is not None and self.stop_distance < 0:
            raise UsageError(f"stop_distance must be 0 or more, found {self.stop_distance}")

    @override
    def surrogate(self) -> Surrogate:
        return Surrogate(self.backbone, self.hashing_loss)

    @override
    def perturb(
        self,
        model: AttackedModel,  # never asked
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        own = goal.surrogate
        codes = anchor_codes(own.goal, 1, rng)
        distance = distance_to(codes)

        def objective(point: Tensor, step: int) -> Tensor:
            alpha = self.alpha.at(step, self.steps)
            noise = self.noise_shape.draw(rng, tuple(images.shape[1:]), self.noise)
            clean = own.model.expected_loss(distance, point, alpha)
            noisy = own.model.expected_loss(distance, point + noise, alpha)
            return clean + self.weight * noisy

        start = self._start(images, threat, rng)
        sizes = self._sizes(threat)
        direction = self._direction(threat, rng, sizes)
        return descend(
            objective,
            images,
            threat,
            steps=self.steps,
            update=steepest_step(threat.norm, sizes),
            direction=UntilNear(direction, own.model, codes, self.stop_distance),
            start=start,
        )

    @override
    def loss(self, goal: Goal, rng: QueryRandom) -> OutputLoss:
        """`mean_k |u_k - t_k|`, t the drawn code."""
        return distance_to(anchor_codes(goal, 1, rng))

    @override
    def passes(self) -> int:
        """Two of each step's gradients, and a look at the code before all steps but the first."""
        looks = 0 if self.stop_distance is None else max(0, self.steps - 1)
        return 2 * super().passes() + looks


def distance_to(codes: Tensor) -> OutputLoss:
    """`mean_k |u_k - t_k|` for the codes t, (B, K)."""
    return lambda outputs: (outputs - codes).abs().mean(dim=1)


class UntilNear:
    """A direction that is 0 for each query that has come near its code, which thus stays there.

    Before all steps but the first it looks at the codes of the points, a forward pass of the batch.
    """

    def __init__(
        self, inner: Direction, model: AttackedModel, codes: Tensor, distance: int | None
    ) -> None:
        """Leave those alone that have no code.

        Args:
            inner: the direction of the others.
            model: whose codes are looked at.
            codes: where to, (B, K) of +1 and -1, all 0 where a query is to be left alone.
            distance: how near is near, in bits; `None` never stops.
        """
        self._inner = inner
        self._model = model
        self._codes = codes
        self._distance = distance
        self._there = (codes == 0).all(dim=1)

    def __call__(self, loss: BatchLoss, point: Tensor, step: int) -> Tensor:
        """Return the direction, like `point`."""
        if self._distance is not None and step > 0:
            apart = (self._model.codes(point) * self._codes < 0).sum(dim=1)
            self._there = self._there | (apart <= self._distance)
        direction = self._inner(loss, point, step)
        return direction.masked_fill(self._there.view(-1, 1, 1, 1), 0.0)
