"""What an attack of another library needs to stand beside ours: a subclass of a few lines."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from typing_extensions import override

from hashbench.attacking.attacked_model import AttackedModel
from hashbench.attacking.classifier import Classifier, as_classifier
from hashbench.attacking.contract import Attack
from hashbench.attacking.foreign import Seeding, call_seeded
from hashbench.attacking.goal import Goal
from hashbench.attacking.randomness import QueryRandom
from hashbench.attacking.threat import Threat
from hashbench.plugins.card import Aim

ClassCall = Callable[[Tensor, Tensor, int], Tensor]
"""Images (b, C, H, W) in `[0, 1]`, their classes int64 (b,), a seed -> perturbed images."""


@dataclass(frozen=True)
class ClassAttack(Attack):
    """An attack over classes, as other libraries have them: the library's, called as ours are.

    The model is asked as a classifier over the class center codes (`as_classifier`), the
    process-wide generators are seeded and restored (`call_seeded`), and what comes back is
    projected into ball and box, since libraries round otherwise.

    Attributes:
        seeding: called once per query with the query's own seed, or once per batch, which is
            quicker, but where the attack draws, answers then depend on how queries are batched.
    """

    seeding: Seeding = Seeding.QUERY

    @abstractmethod
    def call(self, classifier: Classifier, threat: Threat) -> ClassCall:
        """Set up the library's attack.

        Args:
            classifier: a module, images (b, C, H, W) in `[0, 1]` -> logits (b, classes).
            threat: `threat.radius` in `[0, 1]` pixels.

        Returns:
            What takes images, their classes (of a targeted attack: those to lead them to) and a
            seed, for a library that wants one, and returns perturbed images as a tensor.
        """

    @override
    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        """Call the library's attack, and project its answer."""
        classifier = as_classifier(model, goal)
        classes = classifier.targets if self.aim() is Aim.TARGETED else classifier.labels
        call = self.call(classifier, threat)
        found = call_seeded(call, images, classes, rng, self.seeding)
        return threat.project(found.detach().to(images), images)
