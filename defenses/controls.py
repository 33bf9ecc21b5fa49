"""Controls: models that look robust and are not. Each is there to raise a sanity flag."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from typing_extensions import override

from hashbench import plugins
from hashbench.defending import InputTransformation, WrappedModel
from hashbench.errors import UsageError
from hashbench.hashing import CounterRandom, HashModel
from hashbench.plugins import Dataset, PixelSize, WrappingDefense, defense


@defense("control-scaled")
@dataclass(frozen=True)
class ControlScaled(WrappingDefense):
    """Control: logits times 1,000, codes unchanged. Raises saturated outputs and zero gradients.

    Attributes:
        scale: factor of the logits, above 0.
    """

    scale: float = 1000.0

    def __post_init__(self) -> None:
        if not self.scale > 0:
            raise UsageError(f"scale must be above 0, found {self.scale}")

    @override
    def wrap(self, model: HashModel) -> HashModel:
        return _Affine(model, self.scale, 0.0)


@defense("control-random")
@dataclass(frozen=True)
class ControlRandom(InputTransformation):
    """Control: fresh noise on the input in each pass, not averaged over. Raises stochastic codes.

    Attributes:
        deviation: of the normal noise, in `[0, 1]` pixels.
    """

    deviation: PixelSize = 0.3

    differentiable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.deviation >= 0:
            raise UsageError(f"deviation must be 0 or more, found {self.deviation}")

    @override
    def transform(self, images: Tensor) -> Tensor:
        # Of a seed that the process-wide generator gives.
        noise = CounterRandom.drawn_from(None, images.device).normal(images.shape)[0]
        return images + self.deviation * noise.to(images)


@defense("control-quantised")
@dataclass(frozen=True)
class ControlQuantised(InputTransformation):
    """Control: coarsely rounded inputs, attacked without BPDA. Raises zero gradients.

    Attributes:
        levels: values that a pixel can have, 2 or more.
    """

    levels: int = 4

    # What rounding itself has for a gradient: 0.
    differentiable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.levels < 2:
            raise UsageError(f"levels must be 2 or more, found {self.levels}")

    @override
    def transform(self, images: Tensor) -> Tensor:
        return (images * (self.levels - 1)).round() / (self.levels - 1)


@defense("control-collapsed")
@dataclass(frozen=True)
class ControlCollapsed(WrappingDefense):
    """Control: one code for nearly everything. Raises collapsed codes and robust mAP at chance.

    The logits are a fixed code plus a small share of the model's own: gradients are in order, as
    long as not every train code is the same, for then center codes are all 0.

    Attributes:
        share: of the model's own logits; at 0.2 one image in a thousand of the quick suite's base
            model still has another code.
    """

    share: float = 0.2

    @override
    def wrap(self, model: HashModel) -> HashModel:
        return _Affine(model, self.share, 1.0)


@defense("control-order")
@dataclass(frozen=True)
class ControlOrder(WrappingDefense):
    """Control: labels memorised in their order. Raises zero gradients and stochastic codes.

    The i-th image that the model is asked for, counted over all calls, gets the code of the i-th
    label of the data set's train, query and database images, whatever it shows. A benchmark that
    asks in this order, and makes as many passes as there are images, sees perfect retrieval that no
    attack can touch; any other pass puts the answers out of step.

    Attributes:
        dataset: the data set whose labels are memorised; it must need no folder.
    """

    dataset: str = "fashion"

    @override
    def wrap(self, model: HashModel) -> HashModel:
        """A model that knows the labels.

        Raises:
            UsageError: no such data set, or it needs a folder.
        """
        found = plugins.get("dataset", self.dataset)
        assert isinstance(found, Dataset)
        data = found.load(None)
        parts = (data.train, data.query, data.database)
        labels = torch.cat([torch.from_numpy(part.labels).float() for part in parts])
        return _InOrder(model, labels)


class _Affine(WrappedModel):
    """Logits times a scale, plus a fixed code times a shift."""

    pattern: Tensor

    def __init__(self, base: HashModel, scale: float, shift: float) -> None:
        super().__init__(base)
        self.scale = scale
        signs = 1.0 - 2.0 * (torch.arange(base.bits) % 2)
        self.register_buffer("pattern", shift * signs.to(next(base.parameters()).device))

    @override
    def logits(self, images: Tensor) -> Tensor:
        return self.scale * self.base.logits(images) + self.pattern


class _InOrder(WrappedModel):
    """Answers by how many images it was asked for before."""

    answers: Tensor

    def __init__(self, base: HashModel, labels: Tensor) -> None:
        super().__init__(base)
        generator = torch.Generator().manual_seed(0)
        # A random code per class; images of several classes lie between theirs.
        answers = labels @ torch.randn(labels.shape[1], base.bits, generator=generator)
        self.register_buffer("answers", answers.to(next(base.parameters()).device))
        self.asked = 0

    @override
    def logits(self, images: Tensor) -> Tensor:
        places = torch.arange(self.asked, self.asked + len(images), device=self.answers.device)
        self.asked += len(images)
        # The image takes part by 0 alone: a gradient exists, and is 0.
        return self.answers[places % len(self.answers)] + 0 * images.flatten(1).sum(1, keepdim=True)
