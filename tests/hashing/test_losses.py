"""Losses against the research repositories' numbers, and memories that are indexed by item."""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from hashbench import plugins
from hashbench.errors import UsageError
from hashbench.hashing import BoundLoss, relevant
from hashbench.plugins.parameters import resolved
from support.exact import same_gradient, same_loss

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
    memory, fresh = (2 * torch.rand(2, 9, bits, generator=rng) - 1).double().unbind()
    index = torch.randperm(9, generator=rng)[:batch]
    loss = bound(spec, labels, bits).double()
    labels = labels.double()
    loss.remember(memory)
    updated = memory.clone()
    updated[index] = fresh[index]
    found = loss(fresh[index], labels[index], index)
    wanted = slow(spec, fresh[index], labels[index], updated, labels)
    assert float(found) == pytest.approx(wanted, rel=1e-11)


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
    ("spec", "held"),
    [
        ("dph", "memory"),
        ("dpsh", "memory"),
        ("hashnet", "memory"),
        ("dsdh", "memory"),
        ("dsdh", "codes"),
        ("dsh", "memory"),
        ("csq", "targets"),
        ("dpn", "targets"),
    ],
)
def test_memories_and_targets_are_buffers_that_move_with_the_loss(
    spec: str, held: str, bound: Bind
) -> None:
    loss = bound(spec, torch.eye(4), bits=6)
    assert not list(loss.parameters())
    assert loss.state_dict()[held].shape == (4, 6)


REPOSITORIES = {
    "cgat_DPH": "dph",
    "saat_DPH": "dph@saat",
    "cgat_DPSH": "dpsh",
    "saat_DPSH": "dpsh@saat",
    "dhp_DPSH": "dpsh@deephash",
    "cgat_HashNet": "hashnet",
    "saat_HashNet": "hashnet@saat",
    "sigir_HashNet": "hashnet@sigir",
    "dhp_HashNet_batch_scale1": "hashnet@deephash",
    "cgat_DSDH": "dsdh",
    "cgat_DCH": "dch",
    "cgat_GreedyHash": "greedyhash@cgat",
    "cgat_CSQ": "csq@cgat",
    "saat_CSQ": "csq@saat",
    "saat_DPN": "dpn@saat",
    "saat_Ortho_trainmodeBN": "ortho@saat",
    "dhp_DSH": "dsh@deephash",
}
"""Every loss of the reference vectors, and what it is called here."""

Given = Mapping[str, Tensor]


@pytest.fixture(scope="module")
def given_arrays(vectors: Vectors, vector_case: str) -> Given:
    """One case of the reference vectors, without its prefix."""
    given = {
        name.removeprefix(f"{vector_case}_"): torch.from_numpy(np.asarray(value))
        for name, value in vectors("hash_losses").items()
        if name.startswith(f"{vector_case}_")
    }
    # The scripts learn the labels of the memory batch by batch.
    given["Y"][given["ind"]] = given["y"]
    return given


def held(loss: BoundLoss, name: str) -> Tensor:
    value = loss.get_parameter(name) if name == "fc.weight" else loss.get_buffer(name)
    return value.detach()


def inject(loss: BoundLoss, case: str, given_arrays: Given) -> None:
    """Put the tensors that the reference drew at random where the loss holds its own."""
    index, labels = given_arrays["ind"], given_arrays["y"]
    if "CSQ" in case:
        held(loss, "targets")[index] = given_arrays[f"{case}_center"]
    elif "DPN" in case:
        centers = given_arrays[f"{case}_hash_targets"]
        sums = labels @ centers
        tied = given_arrays[f"{case}_random_center"].expand_as(sums)
        targets = torch.where(sums == 0, tied, sums).sign()
        if not given_arrays["multi"]:
            targets = centers[labels.argmax(dim=1)]
        held(loss, "targets")[index] = targets
    elif "Ortho" in case:
        held(loss, "codebook").copy_(given_arrays["saat_Ortho_codebook"])
    elif "GreedyHash" in case:
        held(loss, "fc.weight").copy_(given_arrays[f"{case}_fc"])


@pytest.mark.parametrize("case", REPOSITORIES)
def test_losses_of_the_repositories(case: str, given_arrays: Given, bound: Bind) -> None:
    if f"{case}_loss" not in given_arrays:
        pytest.skip(f"this case of the reference vectors holds no {case}")
    labels, bits = given_arrays["Y"].float(), given_arrays["u"].shape[1]
    loss = bound(REPOSITORIES[case], labels, bits).double()
    loss.remember(given_arrays["U"])
    inject(loss, case, given_arrays)
    outputs = given_arrays["u"].clone().requires_grad_(True)
    if case == "sigir_HashNet":
        # There the script's loop lets the batch into the memory, not the function that was run.
        hashnet = importlib.import_module("hashbench.hashing.losses.hashnet")
        theta = 0.1 * outputs @ given_arrays["U"].T
        value = hashnet.balanced(theta, relevant(given_arrays["y"], given_arrays["Y"]))
    else:
        value = loss(outputs, given_arrays["y"], given_arrays["ind"])
    if case == "saat_Ortho_trainmodeBN" and not given_arrays["y"].any(dim=1).all():
        # The one number that is not repeated: the script divides a row by its sum of 0.
        assert given_arrays[f"{case}_loss"].isnan()
        assert value.isfinite()
        return
    (gradient,) = torch.autograd.grad(value, outputs)
    same_loss(value, given_arrays[f"{case}_loss"])
    same_gradient(gradient, given_arrays[f"{case}_grad"])


def test_no_loss_of_the_repositories_is_left_out(vectors: Vectors) -> None:
    """Over all cases: a single one need not hold every loss."""
    names = (re.fullmatch(r"c\d+_(.+)_loss", name) for name in vectors("hash_losses"))
    assert {name[1] for name in names if name} == set(REPOSITORIES)


TO_A_CLASS = ("csq@cgat", "csq@saat", "dpn@saat", "greedyhash@cgat")


@pytest.mark.parametrize("spec", TO_A_CLASS)
@pytest.mark.parametrize("skipped", [False, True])
def test_an_image_without_a_label_counts_as_coded_unless_skipped(
    spec: str, skipped: bool, bound: Bind
) -> None:
    """The scripts' formulas as they run, on a batch with all-zero rows and targets from outside."""
    rng = torch.Generator().manual_seed(3)
    labels = torch.tensor([[0.0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]])
    index = torch.tensor([3, 4, 0, 1])
    u = (1.8 * torch.rand(4, 8, generator=rng) - 0.9).double()
    loss = bound(f"{spec}:unlabelled=skip" if skipped else spec, labels, 8)
    loss.double()
    exact, y = u.clone().requires_grad_(True), labels[index].double()
    if spec == "greedyhash@cgat":
        weight = held(loss, "fc.weight")
        through = exact.detach().sign() + exact - exact.detach()
        terms = -(through @ weight.T).log_softmax(dim=1)[torch.arange(4), y.argmax(dim=1)]
        rest = 0.1 * (exact.abs() - 1).abs().pow(3).mean()
    else:
        target = torch.where(torch.rand(4, 8, generator=rng) < 0.5, -1.0, 1.0).double()
        held(loss, "targets")[index] = target
        if spec == "dpn@saat":
            terms, rest = (1 - exact * target).clamp(min=0).mean(dim=1), torch.zeros(())
        else:
            p, t = (exact + 1) / 2, (target + 1) / 2
            terms = -(t * p.log() + (1 - t) * (1 - p).log()).mean(dim=1)
            rest = {"cgat": 1e-4, "saat": 0.05}[spec[4:]] * (exact.abs() - 1).square().mean()
    if skipped:
        terms = terms * y.any(dim=1)
    wanted = terms.mean() + rest
    (wanted_slope,) = torch.autograd.grad(wanted, exact)
    u.requires_grad_(True)
    value = loss(u, y, index)
    (slope,) = torch.autograd.grad(value, u)
    torch.testing.assert_close(value, wanted, rtol=1e-11, atol=0)
    torch.testing.assert_close(slope, wanted_slope, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", ["csq", "dpn", "greedyhash"])
def test_repositories_presets_repeat_their_scripts_and_defaults_skip(name: str) -> None:
    def choice(spec: str) -> str:
        return str(resolved(plugins.get("loss", spec))["unlabelled"])

    card = plugins.get("loss", name).card
    assert choice(name) == "skip"
    assert {choice(f"{name}@{preset}") for preset in card.presets} == {"as-coded"}


def test_ortho_stays_finite_where_its_script_does_not(bound: Bind) -> None:
    labels = torch.tensor([[1.0, 0], [0, 0], [0, 1]])
    u = torch.rand(3, 6, generator=torch.Generator().manual_seed(2)) - 0.5
    assert bound("ortho", labels, 6)(u, labels, torch.arange(3)).isfinite()


def test_the_discrete_codes_of_the_repositories(given_arrays: Given, bound: Bind) -> None:
    if "cgat_DSDH_B" not in given_arrays:
        pytest.skip("this case of the reference vectors holds no cgat_DSDH")
    loss = bound("dsdh@cgat", given_arrays["Y"], bits=given_arrays["u"].shape[1]).double()
    loss.remember(given_arrays["U"])
    assert torch.equal(held(loss, "codes"), given_arrays["cgat_DSDH_B"].T)
    torch.testing.assert_close(
        held(loss, "classifier"), given_arrays["cgat_DSDH_W"], rtol=1e-4, atol=1e-6
    )


def test_similarity_of_the_repositories(vectors: Vectors) -> None:
    arrays = {name: torch.from_numpy(value) for name, value in vectors("attack_losses").items()}
    found = 2 * relevant(arrays["proto_target_labels"], arrays["proto_train_labels"]) - 1
    assert torch.equal(found, arrays["calcsim"])
    assert torch.equal(found, arrays["atrdh_cal_similarity"])


@pytest.mark.parametrize(
    "spec",
    [
        "csq:quantization=-1",
        "dph:quantization=1",
        "dpsh:quantization=-1",
        "dpsh:quantization=nan",
        "hashnet:alpha=0",
        "hashnet:growth=none",
        "dsdh:mu=0",
        "dsdh:nu=0",
        "dsdh:eta=-1",
        "dsdh:iterations=0",
        "dch:gamma=0",
        "dch:quantization=-1",
        "greedyhash:quantization=-1",
        "dsh:quantization=-1",
        "dpn:margin=0",
        "ortho:scale=0",
        "ortho:margin=-1",
    ],
)
def test_an_impossible_setting_is_refused(spec: str, bound: Bind) -> None:
    named = spec.partition(":")[2].partition("=")[0]
    with pytest.raises(UsageError, match=named):
        bound(spec, torch.eye(2), bits=4)
