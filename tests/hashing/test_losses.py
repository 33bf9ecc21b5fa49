"""The pairwise losses: their formulas, and memories that are indexed by item."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from hashbench.errors import UsageError
from hashbench.hashing import BoundLoss, relevant

Bind = Callable[..., BoundLoss]
Vectors = Callable[[str], Mapping[str, NDArray[Any]]]

PAIRWISE = ("dph", "dpsh", "dpsh@saat")


def slow(spec: str, u: Tensor, y: Tensor, memory: Tensor, labels: Tensor) -> float:
    """The formula, pair by pair, over a memory that already holds the batch."""
    pairs: list[float] = []
    gaps: list[float] = []
    for output, row in zip(u.tolist(), y.tolist(), strict=True):
        gaps += [(value - math.copysign(1, value)) ** 2 for value in output]
        for other, other_row in zip(memory.tolist(), labels.tolist(), strict=True):
            s = float(any(a and b for a, b in zip(row, other_row, strict=True)))
            inner = sum(a * b for a, b in zip(output, other, strict=True))
            if spec == "dph":
                pairs.append((inner / len(output) - (2 * s - 1)) ** 2)
            else:
                pairs.append(math.log1p(math.exp(inner / 2)) - s * inner / 2)
    mean: float = sum(pairs) / len(pairs)
    quantization = {
        "dph": 0.0,
        "dpsh": 0.001 * sum(gaps) / len(gaps),
        "dpsh@saat": 50 * sum(gaps) / len(pairs),
    }
    return mean + quantization[spec]


@settings(deadline=None, max_examples=25)
@given(
    spec=st.sampled_from(PAIRWISE),
    seed=st.integers(0, 2**32 - 1),
    batch=st.integers(1, 4),
    bits=st.integers(1, 6),
)
def test_pairwise_losses_are_their_formulas(
    bound: Bind, spec: str, seed: int, batch: int, bits: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    labels = (torch.rand(9, 3, generator=rng) < 0.4).float()
    memory, fresh = (2 * torch.rand(2, 9, bits, generator=rng) - 1).unbind()
    index = torch.randperm(9, generator=rng)[:batch]
    loss = bound(spec, labels, bits)
    loss.remember(memory)
    updated = memory.clone()
    updated[index] = fresh[index]
    found = loss(fresh[index], labels[index], index)
    wanted = slow(spec, fresh[index], labels[index], updated, labels)
    assert float(found) == pytest.approx(wanted, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("spec", PAIRWISE)
def test_the_memory_is_indexed_by_item_and_carries_no_gradient(spec: str, bound: Bind) -> None:
    rng = torch.Generator().manual_seed(1)
    labels = torch.eye(3).repeat(4, 1)
    loss = bound(spec, labels, bits=5)
    memory = loss.memory
    assert isinstance(memory, Tensor)
    assert not memory.any(), "nothing is known before the first batch"
    start = torch.rand(12, 5, generator=rng)
    loss.remember(start)
    assert torch.equal(memory, start)
    index = torch.tensor([7, 0, 11])
    outputs = (torch.rand(3, 5, generator=rng) - 0.5).requires_grad_(True)
    value = loss(outputs, labels[index], index)
    assert torch.equal(memory[index], outputs.detach())
    others = [item for item in range(12) if item not in index.tolist()]
    assert torch.equal(memory[others], start[others])
    assert not memory.requires_grad
    # Pairs inside the batch count once, from the side of the output: the memory is a constant.
    (found,) = torch.autograd.grad(value, outputs)
    shift = torch.zeros(3, 5, dtype=torch.float64)
    shift[1, 2] = 1e-4
    held = memory.double().clone()

    def at(point: Tensor) -> float:
        return slow(spec, point, labels[index], held, labels)

    exact = outputs.detach().double()
    rise = (at(exact + shift) - at(exact - shift)) / 2e-4
    assert float(found[1, 2]) == pytest.approx(rise, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize(
    ("spec", "held"), [("dph", "memory"), ("dpsh", "memory"), ("csq", "targets")]
)
def test_memories_and_targets_are_buffers_that_move_with_the_loss(
    spec: str, held: str, bound: Bind
) -> None:
    loss = bound(spec, torch.eye(4), bits=6)
    assert not list(loss.parameters())
    assert loss.state_dict()[held].shape == (4, 6)


@pytest.mark.parametrize(
    ("case", "spec"),
    [
        ("cgat_DPH", "dph"),
        ("saat_DPH", "dph"),
        ("cgat_DPSH", "dpsh"),
        ("saat_DPSH", "dpsh@saat"),
        # DeepHash-pytorch's factor, in CgAT's form of the term.
        ("dhp_DPSH", "dpsh:quantization=0.1"),
        ("cgat_CSQ", "csq"),
        ("saat_CSQ", "csq@saat"),
    ],
)
def test_losses_of_the_repositories(case: str, spec: str, vectors: Vectors, bound: Bind) -> None:
    given_arrays = vectors("hash_losses")
    arrays = {
        name.removeprefix("c0_"): torch.from_numpy(np.asarray(value))
        for name, value in given_arrays.items()
    }
    loss = bound(spec, arrays["Y"], bits=arrays["u"].shape[1])
    loss.remember(arrays["U"])
    if "CSQ" in case:
        # The reference drew its own random bits for ties.
        targets = loss.targets
        assert isinstance(targets, Tensor)
        targets[arrays["ind"]] = arrays[f"{case}_center"]
    outputs = arrays["u"].clone().requires_grad_(True)
    value = loss(outputs, arrays["y"], arrays["ind"])
    (gradient,) = torch.autograd.grad(value, outputs)
    torch.testing.assert_close(value.detach(), arrays[f"{case}_loss"], rtol=1e-5, atol=0)
    torch.testing.assert_close(gradient, arrays[f"{case}_grad"], rtol=1e-5, atol=1e-8)


def test_similarity_of_the_repositories(vectors: Vectors) -> None:
    arrays = {name: torch.from_numpy(value) for name, value in vectors("attack_losses").items()}
    found = 2 * relevant(arrays["proto_target_labels"], arrays["proto_train_labels"]) - 1
    assert torch.equal(found, arrays["calcsim"])
    assert torch.equal(found, arrays["atrdh_cal_similarity"])


@pytest.mark.parametrize("spec", ["csq:quantization=-1", "dph:quantization=1"])
def test_an_impossible_setting_is_refused(spec: str, bound: Bind) -> None:
    with pytest.raises(UsageError, match="quantization"):
        bound(spec, torch.eye(2), bits=4)
