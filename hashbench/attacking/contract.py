"""What the author of an attack implements: `Attack`, or `TrainedAttack` with a network to learn."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from hashbench.attacking.attacked_model import AttackedModel
from hashbench.attacking.goal import Goal
from hashbench.attacking.randomness import QueryRandom
from hashbench.attacking.setup import AttackerSetup, NetworkSizes
from hashbench.attacking.threat import Threat
from hashbench.plugins.base import Plugin
from hashbench.plugins.card import Aim


@dataclass(frozen=True)
class Surrogate:
    """A model of the attacker's own: undefended, trained by the runner as base models are.

    It is another model than the attacked one: its weights and batches come from another seed. Where
    the attacked model was given, or its base model, the suite's `[training]` holds for it alone.

    Attributes:
        backbone, loss: specifications, such as `resnet18` or `small-cnn:width=8`; `None` takes the
            attacked model's.
    """

    backbone: str | None = None
    loss: str | None = None


class Attack(Plugin):
    """Perturbs queries so that their codes lead to the wrong neighbours."""

    @abstractmethod
    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        """Return perturbed images.

        The caller sees to eval mode, frozen parameters, device, seeds, clipping to `[0, 1]`, and
        counts passes. It fails the cell when the answer has another shape or type, is not finite,
        leaves the ball by more than float32 rounds (1e-6 in L-infinity), when `images` or what
        `goal` tells was changed in place, or when the run's limit of passes is used up.

        At a model that draws at random (`model.draws` above 1) what counts is the mean over its
        draws: `model.expected_loss(loss, x)` calls a loss of the outputs once per draw and averages
        values and gradients (EOT), `drawn_codes(x)` gives every draw's code to judge by. `outputs`
        and `logits` are means over the draws, which is enough for a loss that is linear in them;
        `codes` and `ranked` are one draw's. Whatever `passes` says is then taken `draws` times.

        Args:
            model: `outputs(x, alpha=1.0)` and `logits(x)` of shape (B, K), `expected_loss(loss,
                x)`, `codes(x)`, `bits`, `draws`; see `AttackedModel`.
            images: (B, C, H, W) float32 in `[0, 1]`.
            goal: what the attacker knows of these queries; only what the card asks for.
            threat: the ball: `threat.radius` in `[0, 1]` pixels, of `threat.norm`, which is one of
                those that the card names.
            rng: one stream per query, so that batches draw the same numbers however cut.

        Returns:
            A tensor like `images`.
        """

    def passes(self) -> int:
        """At most so many forward, and so many backward, passes per query; by default its `steps`.

        At a model that draws, as many times its draws. The time estimate rests on it.
        """
        return int(getattr(self, "steps", 1))

    def reach_of_steps(self, radius: float, images: int) -> float | None:  # noqa: ARG002
        """How far all its steps together can move a pixel from where it starts, in `[0, 1]` pixels.

        For balls of L-infinity alone. A report says so where that is less than the radius: such an
        attack stops before it has used what it is allowed. By default `steps` times `step_size`,
        where it has parameters of these names that are numbers. An attack whose steps shrink, or
        are a share of the radius, or have other names, overrides it. Restarts do not add up: one of
        them alone counts.

        Args:
            radius: of the ball, in `[0, 1]` pixels.
            images: of the training set, for an attack that takes its steps there.

        Returns:
            `None` where no step has a size of its own: raw gradients, noise, searches.
        """
        steps, size = getattr(self, "steps", None), getattr(self, "step_size", None)
        if isinstance(steps, bool) or isinstance(size, bool):
            return None
        if not isinstance(steps, int | float) or not isinstance(size, int | float):
            return None
        return float(steps * size)

    def aim(self) -> Aim:
        """Where it leads the query; by default what its card says.

        An attack that can do both has a field for it, and overrides this.
        """
        return self.card.aim or Aim.UNTARGETED

    def surrogate(self) -> Surrogate | None:
        """The model of its own that it needs, if any; `perturb` finds it in `goal.surrogate`."""
        return None


class TrainedAttack(Attack):
    """An attack that learns something of the model before it meets a query.

    The runner trains its network once per model and radius, and stores it like a model; `perturb`
    finds it in `goal.trained`, in eval mode and frozen.
    """

    @abstractmethod
    def network(self, sizes: NetworkSizes) -> nn.Module:
        """Build the network; fresh weights are drawn from torch's current random state.

        Args:
            sizes: of the images, the labels and the codes.
        """

    @abstractmethod
    def train(self, network: nn.Module, setup: AttackerSetup) -> None:
        """Train the network in place.

        Args:
            network: on the device to compute on, in training mode.
            setup: the attacked model, in eval mode and frozen, the training data, a generator.
        """

    def training_passes(self, images: int) -> int:
        """Forward and backward passes of the training in all, for the time estimate.

        Args:
            images: how many there are to train on.
        """
        return images
