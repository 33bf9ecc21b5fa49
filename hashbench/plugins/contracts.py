"""What an author implements: one abstract class per kind of plugin.

Types that need torch are named for type checkers only, so listing plugins costs no torch import.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hashbench.eps import Eps
from hashbench.plugins.base import Plugin
from hashbench.plugins.card import Aim
from hashbench.plugins.parameters import canonical

if TYPE_CHECKING:
    from torch import Tensor, nn

    from hashbench.data.images import RetrievalData
    from hashbench.evaluation.attacker import AttackerSetup, Sizes
    from hashbench.evaluation.goal import Goal
    from hashbench.evaluation.randomness import QueryRandom
    from hashbench.evaluation.target import AttackedModel
    from hashbench.evaluation.threat import Threat
    from hashbench.hashing.backbone import BackboneNet, InputSpec
    from hashbench.hashing.model import HashModel
    from hashbench.hashing.objective import BoundLoss, Objective
    from hashbench.hashing.recipe import Budget, Recipe
    from hashbench.hashing.setup import DefenseSetup, LossSetup
    from hashbench.runner.results import Results


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
        leaves the ball by more than 1e-6, when `images` was changed in place, or when the run's
        limit of passes is used up.

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
            threat: the ball: `threat.radius` in `[0, 1]` pixels.
            rng: one generator per query, so that batches draw the same numbers however cut.

        Returns:
            A tensor like `images`.
        """

    def passes(self) -> int:
        """At most so many forward, and so many backward, passes per query; by default its `steps`.

        At a model that draws, as many times its draws. The time estimate rests on it.
        """
        return int(getattr(self, "steps", 1))

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
    def network(self, sizes: Sizes) -> nn.Module:
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


class Defense(Plugin):
    """Makes a base hashing model harder to attack: see its two kinds below."""


class TrainedDefense(Defense):
    """A defense that goes on training the base model.

    The shared trainer runs the loop; the defense gives its recipe and the loss of one batch.
    """

    @abstractmethod
    def recipe(self, budget: Budget) -> Recipe:
        """Optimiser, learning rate, schedule and epochs.

        Args:
            budget: what the suite grants to every trained defense alike.
        """

    @abstractmethod
    def objective(self, setup: DefenseSetup) -> Objective:
        """Build the state of one training (memories, auxiliary networks): gives each batch's loss.

        Args:
            setup: the base model (to be trained in place), the training data, the bound hashing
                loss, the budget and a generator.
        """

    def passes(self, budget: Budget) -> int:
        """Forward and backward passes per image and epoch, for the time estimate."""
        return budget.inner_steps + 2


class WrappingDefense(Defense):
    """A defense that changes no weight: it returns another model around the base model."""

    @abstractmethod
    def wrap(self, model: HashModel) -> HashModel:
        """Return the defended model; the base model must stay as it is."""


@dataclass(frozen=True)
class Loss(Plugin):
    """A hashing method's training loss."""

    @abstractmethod
    def bind(self, setup: LossSetup) -> BoundLoss:
        """Build the loss of one training: with its memory of outputs, its centers, its layers."""


@dataclass(frozen=True)
class Backbone(Plugin):
    """The network under the hash layer."""

    @abstractmethod
    def build(self, images: InputSpec) -> BackboneNet:
        """Build the network; fresh weights are drawn from torch's current random state."""

    def bare(self) -> Backbone:
        """The same network without its pretrained weights, for weights that are loaded after it.

        By default itself. Normalisation lies in the loaded weights too.
        """
        return self


@dataclass(frozen=True)
class Dataset(Plugin):
    """Images with multi-hot labels, split into train, query and database."""

    needs_root: ClassVar[bool] = False
    """Whether the images lie in a folder that the user has to name."""

    top_k: ClassVar[int | None] = None
    """Length of the ranked list that mAP is taken over; `None` for the whole database."""

    eps: ClassVar[Eps] = Eps.parse("8/255")
    """The radius that a run takes when it names none."""

    def list_length(self) -> int | None:
        """Length of the ranked list; by default `top_k`."""
        return self.top_k

    def protocol_name(self) -> str:
        """What protocols call it; by default its canonical text, every parameter included."""
        return canonical(self)

    def widened(self) -> Dataset:
        """The same data with `ImageSet.wide`, for trainings that crop at random; by default itself.

        Splits, images and protocol must be the same.
        """
        return self

    def prepare(self, root: Path | None, progress: Callable[[int, int], None]) -> None:
        """Do once what makes every later `load` quick, such as decoding files; by default nothing.

        Args:
            root: as for `load`.
            progress: told (done, total), in images.

        Raises:
            UsageError: as `load`.
        """

    @abstractmethod
    def load(self, root: Path | None) -> RetrievalData:
        """Read the three splits.

        Args:
            root: the folder named by the user, `None` where the data needs none.

        Raises:
            UsageError: the folder or a file is missing or malformed.
        """


@dataclass(frozen=True)
class Format(Plugin):
    """A way to write a report."""

    suffix: ClassVar[str] = ".txt"

    @abstractmethod
    def render(self, results: Results, *, width: int | None = None) -> str:
        """Return the whole report as text.

        Args:
            results: every cell of the folders that are reported.
            width: columns of the terminal it is for; `None` for a file.
        """


__all__ = [
    "Attack",
    "Backbone",
    "Dataset",
    "Defense",
    "Format",
    "Loss",
    "Surrogate",
    "TrainedAttack",
    "TrainedDefense",
    "WrappingDefense",
]
