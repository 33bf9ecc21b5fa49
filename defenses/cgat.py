"""CgAT: adversarial training against the center code."""

from __future__ import annotations

from dataclasses import dataclass

from typing_extensions import override

from hashbench.defending import CenterGuidedTraining, CenterTerms, SharedMemory
from hashbench.hashing import batch_centers
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
            "augment": "crop-flip",
        }
    },
)
@dataclass(frozen=True)
class CgAT(CenterGuidedTraining):
    """Adversarial training with the center code as the guide.

    Per batch: center codes from the memory of all train codes; adversarial images pushed away from
    them; then `loss(u_clean) - weight * mean(u_adv * c)`, c recomputed after the batch's codes
    entered the memory (CgAT, `central_adv_train.py`: SGD 0.01, momentum 0.9, weight decay 5e-4,
    batch 32, 30 epochs at eps 8/255; preset `released`). The released script discards its Jaccard
    weights, so that the center is class-balanced and unweighted; so it is here. The paper's own
    formula carries weights for the positive and the negative samples; what they are could not be
    checked against its text, so there is no preset `paper` that would claim to know.

    The script's memory of codes holds outputs, whatever the loss (`soft_memory`): it gives the same
    storage to both of its memories and writes the batch's outputs into it before the new centers.
    Its second decay never happens at its published settings (`float_milestones`): three quarters of
    the steps is no whole number there, on any of its three data sets.
    """

    @override
    def terms(self) -> CenterTerms:
        return CenterTerms(
            centers=batch_centers,
            weight=self.weight,
            memory=SharedMemory.TRAINING if self.soft_memory else SharedMemory.NO,
        )
