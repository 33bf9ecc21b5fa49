"""An author's plugins, one of each kind: what an editor shows of their names has these types."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import assert_type

import torch
from torch import Tensor
from typing_extensions import override

from hashbench.attacking import AttackedModel, Goal, QueryRandom, Threat
from hashbench.data import ImageSet, RetrievalData
from hashbench.hashing import BackboneNet, BoundLoss, HashModel, InputSpec, LossSetup
from hashbench.plugins import (
    Access,
    Attack,
    Backbone,
    Card,
    Dataset,
    Format,
    Knowledge,
    Loss,
    Plugin,
    WrappingDefense,
    attack,
    backbone,
    dataset,
    defense,
    get,
    loss,
    names,
    report_format,
)
from hashbench.results import Results
from hashbench.testing import CheckReport, check_attack


@attack("one-step", access=Access.GRADIENT, knowledge=(Knowledge.LABELS, Knowledge.TRAINING))
@dataclass(frozen=True)
class OneStep(Attack):
    """One signed gradient step away from the center code."""

    share: float = 1.0

    @override
    def perturb(
        self, model: AttackedModel, images: Tensor, goal: Goal, threat: Threat, rng: QueryRandom
    ) -> Tensor:
        assert_type(model.outputs(images), Tensor)
        assert_type(model.codes(images), Tensor)
        assert_type(model.bits, int)
        assert_type(goal.center_codes, Tensor)
        assert_type(goal.labels, Tensor)
        assert_type(threat.radius, float)
        assert_type(rng.uniform(images.shape[1:], -threat.radius, threat.radius), Tensor)
        point = images.clone().requires_grad_(True)
        agreement = (model.outputs(point) * goal.center_codes).mean(dim=1).sum()
        (gradient,) = torch.autograd.grad(agreement, point)
        return threat.project(images - self.share * threat.radius * gradient.sign(), images)


# The decorator keeps the class: its fields, its methods, and the card on top.
assert_type(OneStep(share=0.5), OneStep)
assert_type(OneStep().share, float)
assert_type(OneStep().passes(), int)
assert_type(OneStep.card, Card)
assert_type(check_attack(OneStep), CheckReport)
assert_type(get("attack", "one-step"), Plugin)
assert_type(names("attack"), tuple[str, ...])


@defense("darker")
@dataclass(frozen=True)
class Darker(WrappingDefense):
    """The model itself."""

    factor: float = 0.5

    @override
    def wrap(self, model: HashModel) -> HashModel:
        assert_type(model.logits(torch.zeros(1)), Tensor)
        assert_type(model.bits, int)
        return model


assert_type(Darker(factor=0.9), Darker)


class BoundAgreement(BoundLoss):
    """The share of bits that disagree."""

    @override
    def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
        return (outputs @ outputs.T - labels @ labels.T).square().mean()


@loss("agreement")
@dataclass(frozen=True)
class Agreement(Loss):
    """Outputs agree where labels do."""

    weight: float = 1.0

    @override
    def bind(self, setup: LossSetup) -> BoundLoss:
        assert_type(setup.bits, int)
        return BoundAgreement()


assert_type(Agreement(weight=2.0), Agreement)


@backbone("flat")
@dataclass(frozen=True)
class Flat(Backbone):
    """The pixels themselves."""

    @override
    def build(self, images: InputSpec) -> BackboneNet:
        assert_type(images.channels, int)
        raise RuntimeError("nothing is run here")


assert_type(Flat(), Flat)


@dataset("half")
@dataclass(frozen=True)
class Half(Dataset):
    """A built-in data set."""

    @override
    def load(self, root: Path | None) -> RetrievalData:
        whole = get("dataset", "fashion")
        assert isinstance(whole, Dataset)
        data = whole.load(root)
        assert_type(data, RetrievalData)
        assert_type(data.query, ImageSet)
        assert_type(len(data.query), int)
        return data


assert_type(Half(), Half)


@report_format("short")
@dataclass(frozen=True)
class Short(Format):
    """One line."""

    @override
    def render(self, results: Results, *, width: int | None = None) -> str:
        return f"{len(results.cells)} cells"


assert_type(Short(), Short)
