"""Attacked images are encoded block by block, as all of them at once would be, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hashbench.attacking import (
    AttackedModel,
    Attacker,
    AttackOutcome,
    Eps,
    Goal,
    Known,
    QueryRandom,
    Threat,
    run_attack,
)
from hashbench.data.images import ImageSet
from hashbench.hashing import BackboneNet, HashModel, encode
from hashbench.plugins import Attack, attack

QUERIES, BITS = 1203, 6


@attack("drift")
@dataclass(frozen=True)
class Drift(Attack):
    """Half of each image moves by a draw of its own; keeps what it returned."""

    returned: list[Tensor] = field(default_factory=list)

    def perturb(
        self,
        model: AttackedModel,  # noqa: ARG002
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,
    ) -> Tensor:
        shift = rng.uniform(images.shape[1:], -threat.radius, threat.radius)
        moved = threat.project(images + shift * goal.labels[:, :1, None, None], images)
        self.returned.append(moved)
        return moved


class Noted(nn.Module):
    """Remembers the images of each pass without a graph, and mixes those that go together."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Tensor] = []

    def forward(self, images: Tensor) -> Tensor:
        if not images.requires_grad:
            self.shown.append(images.clone())
        return (images + 0.1 * images.mean(dim=0)).flatten(1)


def noted_model(shown: list[Tensor] | None = None) -> HashModel:
    with torch.random.fork_rng():
        torch.manual_seed(6)
        module = Noted()
        module.shown = [] if shown is None else shown
        return HashModel(BackboneNet(module, 12, (0.5,) * 3, (0.25,) * 3), BITS).eval()


@pytest.fixture(scope="module")
def queries() -> ImageSet:
    rng = np.random.default_rng(9)
    pixels = rng.integers(0, 256, (QUERIES, 3, 2, 2), dtype=np.uint8)
    return ImageSet(pixels, np.eye(2, dtype=np.uint8)[rng.integers(0, 2, QUERIES)])


@pytest.fixture(scope="module")
def attacker(queries: ImageSet) -> Attacker:
    rng = np.random.default_rng(10)
    codes = rng.choice(np.array([-1, 1], dtype=np.int8), (QUERIES, BITS))
    return Attacker(Known.of(queries.labels, codes, codes, queries.labels))


def struck(
    one: Attack,
    model: HashModel,
    queries: ImageSet,
    attacker: Attacker,
    batch: int,
    eps: str = "16/255",
    progress: Callable[[int, int], None] | None = None,
) -> AttackOutcome:
    threat, seeds = Threat(Eps.parse(eps)), range(QUERIES)
    return run_attack(
        one, model, queries.images, attacker, threat, seeds, batch=batch, progress=progress
    )


@pytest.mark.parametrize("batch", [3, 64, 499, 500, 501, 777, 5000])
def test_the_codes_are_those_of_all_images_at_once(
    batch: int, queries: ImageSet, attacker: Attacker
) -> None:
    shown: list[Tensor] = []
    one, told = Drift(), []
    outcome = struck(
        one, noted_model(shown), queries, attacker, batch, progress=lambda *at: told.append(at)
    )
    returned = torch.cat(one.returned).numpy()
    wished: list[Tensor] = []
    wanted = encode(noted_model(wished), returned)
    assert np.array_equal(outcome.codes, wanted.codes)
    assert outcome.saturated == wanted.saturated
    # The model was shown the same tensors: so the codes are the same on any machine, by any sum.
    assert [len(images) for images in shown] == [500, 500, 203]
    assert all(torch.equal(images, other) for images, other in zip(shown, wished, strict=True))
    assert told == [(min(at, QUERIES), QUERIES) for at in range(batch, QUERIES + batch, batch)]
    change = returned.astype(np.float32) - queries.images[:].astype(np.float32) / np.float32(255)
    assert np.array_equal(outcome.linf, np.abs(change).max(axis=(1, 2, 3)).astype(np.float64))


@pytest.mark.parametrize("batch", [7, 500, 640])
def test_eps_0_gives_the_clean_codes(batch: int, queries: ImageSet, attacker: Attacker) -> None:
    outcome = struck(Drift(), noted_model(), queries, attacker, batch, eps="0")
    assert np.array_equal(outcome.codes, encode(noted_model(), queries.images).codes)
    assert not outcome.linf.any()


def test_a_batch_is_told_of_its_own_queries(queries: ImageSet, attacker: Attacker) -> None:
    """In order, and from the same tensors in each batch: nothing large is copied."""
    labels: list[Tensor] = []
    places: set[int] = set()

    @attack("listener")
    @dataclass(frozen=True)
    class Listener(Drift):
        """Listens."""

        def perturb(
            self, model: AttackedModel, images: Tensor, goal: Goal, threat: Threat, rng: QueryRandom
        ) -> Tensor:
            labels.append(goal.labels)
            places.add(goal.train_codes.data_ptr())
            return super().perturb(model, images, goal, threat, rng)

    struck(Listener(), noted_model(), queries, attacker, 100)
    assert torch.equal(torch.cat(labels), attacker.known.labels)
    assert places == {attacker.known.train_codes.data_ptr()}


def test_known_holds_what_the_arrays_held_and_gives_any_part_of_it() -> None:
    rng = np.random.default_rng(0)
    signs = np.array([-1, 0, 1], dtype=np.int8)
    labels, rows = (rng.integers(0, 2, (count, 3), dtype=np.uint8) for count in (5, 8))
    centers, codes = (rng.choice(signs, (count, 4)) for count in (5, 8))
    known = Known.of(labels, centers, codes, rows, labels[::-1])
    for name, array in {
        "labels": labels,
        "center_codes": centers,
        "train_codes": codes,
        "train_labels": rows,
        "target_labels": labels[::-1],
    }.items():
        tensor = getattr(known, name)
        assert tensor.dtype == torch.float32
        assert np.array_equal(tensor.numpy(), array)
    for part in (slice(1, 3), slice(4, 99), torch.tensor([3, 0])):
        some = known.rows(part)
        index = part if isinstance(part, slice) else part.numpy()
        assert np.array_equal(some.labels.numpy(), labels[index])
        assert np.array_equal(some.center_codes.numpy(), centers[index])
        assert some.target_labels is not None
        assert np.array_equal(some.target_labels.numpy(), labels[::-1][index])
        assert some.train_codes is known.train_codes
        assert some.train_labels is known.train_labels
    untargeted = replace(known, target_labels=None).rows(slice(2))
    assert untargeted.target_labels is None
    moved = known.to("meta")
    assert {tensor.device.type for tensor in moved.tensors().values()} == {"meta"}
