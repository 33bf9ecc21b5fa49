"""What adversarial trainings guided by center codes share: the loss of a batch, and the memory.

CgAT and SAAT are this training with other terms: a defense of that family gives its `CenterTerms`
and its recipe.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

import torch
from torch import Tensor
from torch.nn import Parameter
from typing_extensions import override

from hashbench.defending.adversarial import AdversarialTraining, InnerAttack
from hashbench.defending.setup import Budget, DefenseSetup
from hashbench.hashing.kept import Kept
from hashbench.hashing.model import codes_of
from hashbench.hashing.objective import Batch, BoundLoss, Objective
from hashbench.hashing.recipe import OptimizerName, Recipe
from hashbench.plugins.parameters import later

CenterRule = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(labels (B, classes), codes (N, K), their labels (N, classes)) -> center codes (B, K)."""

# A weighted sum that rounding could have pushed off zero counts as zero.
_ROUNDING: Final = 64 * torch.finfo(torch.float64).eps


class SharedMemory(Enum):
    """Who writes outputs into the memory that the centers are made of.

    Both released scripts give one storage to two memories: the codes of the centers, and the
    outputs that a pairwise loss keeps. What is written into either then stands in both, and an
    image counts with its output, not its code, once a batch with it has passed.
    """

    NO = auto()
    """Nobody: the memory holds codes."""

    TRAINING = auto()
    """The training itself, whatever the loss; the batch's new centers see its outputs (CgAT)."""

    LOSS = auto()
    """A loss that keeps outputs. The batch's new centers see its codes, later ones see its outputs
    (SAAT). With a loss that keeps none the memory holds codes.
    """


@dataclass(frozen=True)
class CenterTerms:
    """In what center-guided trainings differ.

    Attributes:
        centers: gives the center codes; what it keeps from call to call changes none of them.
        weight: factor of the adversarial term.
        quantization: factor of `mean((u_adv - sign u_adv)^2)`.
        memory: who writes outputs into the memory of codes.
    """

    centers: CenterRule
    weight: float
    quantization: float = 0.0
    memory: SharedMemory = SharedMemory.NO


@dataclass(frozen=True)
class CenterGuidedTraining(AdversarialTraining):
    """An adversarial training whose guide is a center code.

    Attributes:
        weight: factor of the adversarial term.
        learning_rate, momentum, weight_decay: of the optimiser; the momentum is Adam's first beta.
        soft_memory: in the released scripts the memory of codes and that of outputs are one
            storage, so once a batch has passed, its images count with their outputs, not their
            codes, in the centers; with CgAT whatever the hashing loss, with SAAT where the loss
            keeps outputs. True repeats that.
        float_milestones: the released scripts compute the steps at which the rate falls as
            fractions, and one that is no whole number never comes. True repeats that.
        optimizer: `sgd` or `adam`.
    """

    weight: float = 1.0
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    soft_memory: bool = False
    float_milestones: bool = False
    optimizer: OptimizerName = later(OptimizerName.SGD)

    @override
    def recipe(self, budget: Budget) -> Recipe:
        """By default SGD with the rate decayed at half and three quarters of the steps."""
        return self.stepping(
            budget,
            self.optimizer,
            learning_rate=self.learning_rate,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            float_milestones=self.float_milestones,
        )

    @abstractmethod
    def terms(self) -> CenterTerms:
        """In what it differs from the others of its family."""

    @override
    def objective(self, setup: DefenseSetup) -> Objective:
        """Fill both memories with the base model's codes."""
        self.begin(setup)
        inner = self.inner_attack(setup.model, setup.budget, setup.generator)
        return CenterGuided(self.terms(), setup, inner)


class CenterGuided(Objective):
    """One center-guided training at work: holds the memory of train codes."""

    def __init__(self, terms: CenterTerms, setup: DefenseSetup, inner: InnerAttack) -> None:
        """Fill both memories, the own and the hashing loss's, with the base model's codes."""
        self._terms = terms
        self._model = setup.model
        self._hashing_loss = setup.loss
        self._labels = setup.labels
        self._inner = inner
        self._codes = codes_of(setup.outputs).to(setup.outputs)
        self._hashing_loss.remember(self._codes)
        self._memory = terms.memory
        if self._memory is SharedMemory.LOSS and not _keeps_outputs(setup.loss):
            self._memory = SharedMemory.NO

    @override
    def loss(self, batch: Batch) -> Tensor:
        """The clean hashing loss, the adversarial term, and the quantisation term if any."""
        centers = self._centers(batch)
        adversarial = self._inner.at(batch.progress).away_from(batch.images, centers)
        outputs_adversarial = self._model.outputs(adversarial)
        outputs = self._model.outputs(batch.images)
        clean: Tensor = self._hashing_loss(outputs, batch.labels, batch.index)
        centers = self._update(batch, outputs)
        total = clean - self._terms.weight * (outputs_adversarial * centers).mean()
        if self._terms.quantization:
            gap = outputs_adversarial - outputs_adversarial.detach().sign()
            total = total + self._terms.quantization * gap.square().mean()
        return total

    @override
    def parameters(self) -> Iterable[Parameter]:
        """The hashing loss's own layers, where it has some."""
        return self._hashing_loss.parameters()

    @override
    def keeps(self) -> Mapping[str, Kept]:
        return {
            "loss": self._hashing_loss,
            "codes": self._codes,
            "generator": self._inner.generator,
        }

    def _update(self, batch: Batch, outputs: Tensor) -> Tensor:
        """Let the batch into the memory; return its new centers."""
        if self._memory is SharedMemory.TRAINING:
            self._codes[batch.index] = outputs.detach()
            return self._centers(batch)
        self._codes[batch.index] = self._inner.codes(batch.images, outputs)
        centers = self._centers(batch)
        if self._memory is SharedMemory.LOSS:
            self._codes[batch.index] = outputs.detach()
        return centers

    def _centers(self, batch: Batch) -> Tensor:
        return self._terms.centers(batch.labels, self._codes, self._labels)


def mainstay_centers(labels: Tensor, codes: Tensor, code_labels: Tensor) -> Tensor:
    """Mainstay codes by tensor algebra, for the inside of a training loop.

    `sign(sum_j w_j b_j / sum_j w_j - mean of the others)`, w_j the cosine of the label rows (SAAT,
    Yuan et al., TIFS 2023); without a relevant code `-sign(mean of the others)`. Equal to
    `hashbench.retrieval.center_codes` with the weighting `cosine` on the same input.

    Args:
        labels: (B, classes) of 0 and 1.
        codes: (N, K) of +1 and -1, or of outputs between.
        code_labels: (N, classes).

    Returns:
        (B, K) of +1, 0 and -1, in the type of `codes`.
    """
    return MainstayRule()(labels, codes, code_labels)


class MainstayRule:
    """`mainstay_centers`; of the labels that it saw last it knows which codes have how many.

    Counting them waits for the device, which a training does once.
    """

    def __init__(self) -> None:
        """Know no labels yet."""
        self._labels: Tensor | None = None
        self._groups: list[tuple[float, Tensor]] = []

    def __call__(self, labels: Tensor, codes: Tensor, code_labels: Tensor) -> Tensor:
        """As `mainstay_centers`; labels that come again must not have been changed in between."""
        shared, values = (labels @ code_labels.T).double(), codes.double()
        far = (shared == 0).double()
        far_sum, others = far @ values, far.sum(dim=1, keepdim=True).clamp(min=1)
        # The row's own length cancels in the mean. Terms are summed by the code's number of labels:
        # each is a whole number over a root, so that a tie is a tie and not a rounding error.
        score, scale = torch.zeros_like(far_sum), torch.zeros_like(far_sum)
        for length, chosen in self._groups_of(code_labels):
            near = shared[:, chosen]
            term = others * (near @ values[chosen]) - near.sum(dim=1, keepdim=True) * far_sum
            score += term / length**0.5
            scale += term.abs() / length**0.5
        score.masked_fill_(score.abs() <= _ROUNDING * scale, 0.0)
        alone = shared.sum(dim=1, keepdim=True) == 0
        return torch.where(alone, -far_sum, score).sign().to(codes.dtype)

    def _groups_of(self, labels: Tensor) -> list[tuple[float, Tensor]]:
        """Numbers of labels above 0, and the positions of the codes that have so many."""
        if labels is not self._labels:
            lengths = labels.sum(dim=1)
            self._labels = labels
            self._groups = [
                (length, torch.nonzero(lengths == length).squeeze(1))
                for length in lengths.unique().cpu().tolist()
                if length
            ]
        return self._groups


def _keeps_outputs(loss: BoundLoss) -> bool:
    """Whether a hashing loss has a memory: one that has none need not override `remember`."""
    return type(loss).remember is not BoundLoss.remember
