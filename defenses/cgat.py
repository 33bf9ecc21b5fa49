"""CgAT: adversarial training against the center code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import Parameter

from hashbench.hashing import (
    AdversarialTraining,
    Batch,
    Budget,
    DefenseSetup,
    InnerAttack,
    Objective,
    OptimizerName,
    Recipe,
    batch_centers,
    codes_of,
)
from hashbench.plugins import defense


@defense(
    "cgat",
    cite="Wang et al., CgAT, WWW 2023",
    presets={
        "released": {
            "epochs": 30,
            "inner_steps": 7,
            "eps": "8/255",
            "float_milestones": True,
            "soft_memory": True,
            "training_mode": True,
        }
    },
)
@dataclass(frozen=True)
class CgAT(AdversarialTraining):
    """Adversarial training with the center code as the guide.

    Per batch: center codes from the memory of all train codes; adversarial images pushed away from
    them; then `loss(u_clean) - weight * mean(u_adv * c)`, c recomputed after the batch's codes
    entered the memory (CgAT, `central_adv_train.py`: SGD 0.01, momentum 0.9, weight decay 5e-4,
    batch 32, 30 epochs at eps 8/255; preset `released`). The released script discards its Jaccard
    weights, so that the center is class-balanced and unweighted; so it is here.

    Attributes:
        weight: factor of the adversarial term.
        learning_rate: of SGD.
        float_milestones: the script computes its decay steps as fractions, so that at its published
            settings the second decay never happens; true repeats that.
        soft_memory: the script hands its memory of codes to the hashing loss, which writes outputs
            into it; so once a batch has passed, its images count with their outputs, not their
            codes, in the centers. True repeats that.
    """

    weight: float = 1.0
    learning_rate: float = 0.01
    float_milestones: bool = False
    soft_memory: bool = False

    def recipe(self, budget: Budget) -> Recipe:
        """SGD with the rate decayed at half and three quarters of the steps."""
        return Recipe(
            epochs=self.granted(budget).epochs,
            optimizer=OptimizerName.SGD,
            learning_rate=self.learning_rate,
            float_milestones=self.float_milestones,
        )

    def objective(self, setup: DefenseSetup) -> Objective:
        """Fill both memories with the base model's codes."""
        inner = self.inner_attack(setup.model, setup.budget, setup.generator)
        return CenterGuided(self, setup, inner)


class CenterGuided(Objective):
    """One CgAT training at work: holds the memory of train codes."""

    def __init__(self, terms: CgAT, setup: DefenseSetup, inner: InnerAttack) -> None:
        self._terms = terms
        self._model = setup.model
        self._hashing_loss = setup.loss
        self._labels = setup.labels
        self._inner = inner
        self._codes = codes_of(setup.outputs).float()
        self._hashing_loss.remember(self._codes)

    def loss(self, batch: Batch) -> Tensor:
        """The clean hashing loss plus the adversarial term."""
        centers = batch_centers(batch.labels, self._codes, self._labels)
        adversarial = self._inner.away_from(batch.images, centers)
        outputs_adversarial = self._model.outputs(adversarial)
        outputs = self._model.outputs(batch.images)
        self._codes[batch.index] = (
            outputs.detach()
            if self._terms.soft_memory
            else self._inner.codes(batch.images, outputs)
        )
        clean: Tensor = self._hashing_loss(outputs, batch.labels, batch.index)
        centers = batch_centers(batch.labels, self._codes, self._labels)
        return clean - self._terms.weight * (outputs_adversarial * centers).mean()

    def parameters(self) -> Iterable[Parameter]:
        """The hashing loss's own layers, where it has some."""
        return self._hashing_loss.parameters()
