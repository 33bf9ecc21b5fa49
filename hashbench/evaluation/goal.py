"""What the attacker wants and knows of a batch of queries."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from hashbench.errors import PluginError


@dataclass(frozen=True)
class Known:
    """Everything an attacker could know of some queries; a `Goal` shows the part that he asked for.

    Attributes:
        labels: the queries' labels, float32 (B, classes) of 0 and 1.
        center_codes: the queries' center codes from the training codes of the *attacked* model,
            float32 (B, K) of +1, -1, and 0 where it is undecided.
        train_codes: the training set's codes under the attacked model, float32 (N, K).
        train_labels: their labels, float32 (N, classes).
    """

    labels: Tensor
    center_codes: Tensor
    train_codes: Tensor
    train_labels: Tensor


@dataclass(frozen=True)
class Goal:
    """The attacker's aim: lead the query away from what it is relevant to.

    Reading something that the attack's card does not ask for is an error, so that a label-free
    attack is one.
    """

    attack: str
    known: Known
    with_labels: bool
    with_training: bool

    @property
    def labels(self) -> Tensor:
        """The queries' labels, float32 (B, classes); needs `Knowledge.LABELS`."""
        self._require(self.with_labels, "labels", "LABELS")
        return self.known.labels

    @property
    def center_codes(self) -> Tensor:
        """The queries' center codes, float32 (B, K); needs `LABELS` and `TRAINING`."""
        self._require(self.with_labels, "center codes", "LABELS")
        self._require(self.with_training, "center codes", "TRAINING")
        return self.known.center_codes

    @property
    def train_codes(self) -> Tensor:
        """The training set's codes, float32 (N, K); needs `Knowledge.TRAINING`."""
        self._require(self.with_training, "training codes", "TRAINING")
        return self.known.train_codes

    @property
    def train_labels(self) -> Tensor:
        """The training set's labels, float32 (N, classes); needs `Knowledge.TRAINING`."""
        self._require(self.with_training, "training labels", "TRAINING")
        return self.known.train_labels

    def _require(self, granted: bool, what: str, member: str) -> None:
        if not granted:
            raise PluginError(
                f"attack '{self.attack}' reads the {what}, but its card does not declare "
                f"Knowledge.{member}"
            )
