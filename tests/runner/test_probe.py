"""The probe: an honest model passes each experiment, and a broken one fails just its own."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.hashing import BackboneNet, HashModel, encode
from hashbench.runner.probe import UNBOUNDED_STEPS, probe

QUERIES, BITS = 12, 6


class Linear(HashModel):
    """`sign(W x)` on images of 3 x 3 x 3."""

    def __init__(self) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(2)
            super().__init__(BackboneNet(nn.Flatten(), 27, (0.5,) * 3, (0.25,) * 3), BITS)


class Random(Linear):
    """Codes by the throw of a coin."""

    def logits(self, images: Tensor) -> Tensor:
        return super().logits(images) * (torch.rand(len(images), BITS) - 0.5)


class Masked(Linear):
    """No gradient: its input is rounded."""

    def logits(self, images: Tensor) -> Tensor:
        return super().logits(torch.round(7 * images) / 7)


class Cut(Linear):
    """Not even a graph."""

    def logits(self, images: Tensor) -> Tensor:
        return super().logits(images).detach()


class Greedy(Linear):
    """Answers otherwise once somebody has taken its gradient."""

    def logits(self, images: Tensor) -> Tensor:
        self.attacked = getattr(self, "attacked", False) or images.requires_grad
        sign = -1 if self.attacked and not images.requires_grad else 1
        return super().logits(images) * sign


class Centred(Linear):
    """Codes relative to the batch."""

    def logits(self, images: Tensor) -> Tensor:
        logits = super().logits(images)
        return logits - logits.mean(dim=0, keepdim=True)


def answers(model: HashModel) -> tuple[float, float, float]:
    """Unstable, moved, and the unbounded attack's agreement with the center codes."""
    pixels: NDArray[np.uint8] = np.random.default_rng(0).integers(
        0, 256, (QUERIES, 3, 3, 3), dtype=np.uint8
    )
    torch.manual_seed(0)
    codes = encode(model.eval(), pixels).codes
    outcome = probe(model, pixels, codes, codes)
    assert outcome.unbounded is not None
    assert outcome.moved is not None
    assert outcome.unbounded.shape == codes.shape
    return outcome.unstable, outcome.moved, float((outcome.unbounded == codes).mean())


class Hungry(Linear):
    """Runs out of memory above some images where activations are kept."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.sizes: list[int] = []

    def logits(self, images: Tensor) -> Tensor:
        if images.requires_grad:
            self.sizes.append(len(images))
            if len(images) > self.most:
                raise torch.OutOfMemoryError("the device is full")
        return super().logits(images)


def test_fewer_queries_go_together_where_memory_runs_out() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (7, 3, 3, 3), dtype=np.uint8)
    codes = encode(Linear().eval(), pixels).codes
    tight = Hungry(1)
    found = probe(tight.eval(), pixels, codes, codes)
    # 5 and 100 at first, halved as often as it takes; then one pass for each of the steps.
    assert tight.sizes[:2] == [5, 2]
    assert tight.sizes[2:9] == [1] * 7
    assert tight.sizes[9:15] == [7, 7, 7, 7, 6, 3]
    assert tight.sizes[15:] == [1] * 7 * UNBOUNDED_STEPS
    assert found.moved == 0
    ample = probe(Hungry(1000).eval(), pixels, codes, codes)
    assert found.unbounded is not None
    assert ample.unbounded is not None
    assert np.array_equal(found.unbounded, ample.unbounded)
    with pytest.raises(torch.OutOfMemoryError):
        probe(Hungry(0).eval(), pixels, codes, codes)


def test_the_codes_after_a_step_of_radius_0_are_made_in_the_blocks_of_the_clean_ones() -> None:
    """Of the same tensors, so that no sum differs: 0 is exact at a model that does not draw."""
    shown: list[Tensor] = []

    class Noted(Linear):
        def logits(self, images: Tensor) -> Tensor:
            if not images.requires_grad:
                shown.append(images.clone())
            return super().logits(images)

    pixels = np.random.default_rng(1).integers(0, 256, (1203, 3, 3, 3), dtype=np.uint8)
    model = Noted().eval()
    codes = encode(Linear().eval(), pixels).codes
    outcome = probe(model, pixels, codes, codes)
    assert (outcome.unstable, outcome.moved) == (0, 0)
    # Before all else some are asked in several companies.
    shown = shown[-10:]
    # Twice the clean codes, those of radius 0, and those of the first 100 without a bound.
    assert [len(images) for images in shown] == [500, 500, 203] * 3 + [100]
    for first, again, still in zip(shown[:3], shown[3:6], shown[6:9], strict=True):
        assert torch.equal(first, again)
        assert torch.equal(first, still)


def test_codes_that_depend_on_the_batch_are_caught_though_they_are_stable() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (90, 3, 3, 3), dtype=np.uint8)
    model = Centred().eval()
    codes = encode(model, pixels).codes
    outcome = probe(model, pixels, codes, codes)
    assert (outcome.unstable, outcome.moved) == (0, 0)
    assert outcome.dependent > 0.5
    plain = Linear().eval()
    own = encode(plain, pixels).codes
    assert probe(plain, pixels, own, own).dependent == 0
    # Codes that another process made of another model, which a plugin has changed here.
    assert probe(plain, pixels, own, codes).dependent > 0.2


def test_an_honest_model_is_stable_and_yields_without_a_bound() -> None:
    # Six random hyperplanes in 27 dimensions: some image lies on the other side of all.
    assert answers(Linear()) == (0, 0, 0)


def test_random_codes_are_unstable() -> None:
    unstable, moved, _ = answers(Random())
    assert unstable > 0.7
    assert moved > 0.7


def test_a_model_that_answers_otherwise_at_eps_0_is_caught() -> None:
    unstable, moved, _ = answers(Greedy())
    assert unstable == 0
    assert moved == 1


def test_without_a_gradient_the_unbounded_attack_gets_nowhere() -> None:
    for model in (Masked(), Cut()):
        unstable, moved, agreement = answers(model)
        assert (unstable, moved) == (0, 0)
        assert agreement == 1
