"""What the attacker wants, knows and has, for a batch of queries."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.errors import PluginError
from hashbench.plugins.card import Aim

if TYPE_CHECKING:
    from hashbench.attacking.attacked_model import AttackedModel


@dataclass(frozen=True)
class Known:
    """Everything an attacker could know of some queries; a `Goal` shows the part that he asked for.

    Attributes:
        labels: the queries' labels, float32 (B, classes) of 0 and 1.
        center_codes: the queries' center codes from the training codes of the *attacked* model,
            float32 (B, K) of +1, -1, and 0 where it is undecided.
        train_codes: the training set's codes under the attacked model, float32 (N, K).
        train_labels: their labels, float32 (N, classes).
        target_labels: the label rows to lead the queries to, float32 (B, classes); all zero where a
            query has none.
    """

    labels: Tensor
    center_codes: Tensor
    train_codes: Tensor
    train_labels: Tensor
    target_labels: Tensor | None = None

    @classmethod
    def of(
        cls,
        labels: NDArray[Any],
        center_codes: NDArray[Any],
        train_codes: NDArray[Any],
        train_labels: NDArray[Any],
        target_labels: NDArray[Any] | None = None,
    ) -> Known:
        """The same from arrays of any number type, on the CPU; the shapes are those above."""
        return cls(
            labels=_tensor(labels),
            center_codes=_tensor(center_codes),
            train_codes=_tensor(train_codes),
            train_labels=_tensor(train_labels),
            target_labels=None if target_labels is None else _tensor(target_labels),
        )

    def rows(self, part: slice | Tensor) -> Known:
        """What is known of some of the queries: a slice of them, or positions, int64 (B,).

        What is known of the training set stays, and is not copied.
        """
        targets = self.target_labels
        return replace(
            self,
            labels=self.labels[part],
            center_codes=self.center_codes[part],
            target_labels=None if targets is None else targets[part],
        )

    def to(self, device: torch.device | str) -> Known:
        """The same on a device; what is there already is not copied."""
        return self.each(lambda tensor: tensor.to(device))

    def each(self, change: Callable[[Tensor], Tensor]) -> Known:
        """The same with every tensor changed, such as `known.each(torch.clone)`."""
        return Known(**{name: change(tensor) for name, tensor in self.tensors().items()})

    def tensors(self) -> dict[str, Tensor]:
        """All there is by its name: `target_labels` is left out where there are none."""
        return {name: tensor for name, tensor in vars(self).items() if tensor is not None}


def _tensor(array: NDArray[Any]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).float()


@dataclass(frozen=True)
class OwnModel:
    """The attacker's surrogate: a model of his own, and the same goal as seen through it.

    Attributes:
        model: outputs, logits and codes of the surrogate; its passes are counted as well.
        goal: its `train_codes` and `center_codes` are the surrogate's.
    """

    model: AttackedModel
    goal: Goal


@dataclass(frozen=True)
class Goal:
    """The attacker's aim: lead the query away from what it is relevant to, or to a target.

    Reading something that the attack's card does not ask for is an error, so that a label-free
    attack is one.

    Attributes:
        attack: its name, for messages.
        known: all that could be known.
        with_labels, with_training: what the card asks for.
        aim: untargeted, or targeted.
        own_model: the surrogate, where the attack asked for one.
        network: what the attack was trained to be, where it is a `TrainedAttack`.
    """

    attack: str
    known: Known
    with_labels: bool
    with_training: bool
    aim: Aim = Aim.UNTARGETED
    own_model: OwnModel | None = None
    network: nn.Module | None = None

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

    @property
    def target_labels(self) -> Tensor:
        """The label rows to lead the queries to, float32 (B, classes); of a targeted attack alone.

        Each is a row of the training set that shares no label with the query; all zero where there
        is none.
        """
        if self.aim is not Aim.TARGETED:
            raise PluginError(
                f"attack '{self.attack}' reads the target labels, but its aim is untargeted: "
                "declare aim=Aim.TARGETED, or override aim()"
            )
        if self.known.target_labels is None:
            raise PluginError(f"attack '{self.attack}' is targeted, but was given no targets")
        return self.known.target_labels

    @property
    def surrogate(self) -> OwnModel:
        """The attacker's own model; of an attack whose `surrogate()` asks for one."""
        if self.own_model is None:
            raise PluginError(
                f"attack '{self.attack}' reads its surrogate, but asks for none: override "
                "surrogate()"
            )
        return self.own_model

    @property
    def trained(self) -> nn.Module:
        """The trained network of a `TrainedAttack`, in eval mode and frozen."""
        if self.network is None:
            raise PluginError(
                f"attack '{self.attack}' reads its trained network, but has none: a TrainedAttack "
                "gets one from the runner"
            )
        return self.network

    def _require(self, granted: bool, what: str, member: str) -> None:
        if not granted:
            raise PluginError(
                f"attack '{self.attack}' reads the {what}, but its card does not declare "
                f"Knowledge.{member}"
            )
