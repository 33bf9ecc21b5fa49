"""An attack may search in another precision; what it returns is judged in the model's own."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.attacking import (
    AttackedModel,
    Attacker,
    Eps,
    Goal,
    Known,
    QueryRandom,
    SurrogateModel,
    Threat,
    run_attack,
)
from hashbench.defending import WrappedModel
from hashbench.errors import UsageError
from hashbench.hashing import BackboneNet, HashModel, encode
from hashbench.hashing.precision import Precision, computing_in
from hashbench.plugins import Attack, attack
from hashbench.runner.determinism import exact
from hashbench.runner.suite_tables import Compute

QUERIES, BITS = 9, 6


def model_of(seed: int) -> HashModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Flatten(), nn.Linear(48, 32), nn.ReLU())
        return HashModel(BackboneNet(net, 32, (0.5,) * 3, (0.25,) * 3), BITS).eval()


def flags() -> tuple[bool, bool]:
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@attack("spy-of-precision")
@dataclass(frozen=True)
class Spy(Attack):
    """Notes in which floats the models compute while it searches."""

    def perturb(
        self,
        model: AttackedModel,
        images: Tensor,
        goal: Goal,
        threat: Threat,
        rng: QueryRandom,  # noqa: ARG002
    ) -> Tensor:
        seen.append((model.logits(images).detach(), goal.surrogate.model.logits(images), flags()))
        return threat.project(images + threat.radius, images)


seen: list[tuple[Tensor, Tensor, tuple[bool, bool]]] = []


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (QUERIES, 3, 4, 4), dtype=np.uint8)


@pytest.mark.parametrize("search", [None, *Precision])
@pytest.mark.parametrize("verdict", [False, True])
def test_the_search_has_its_precision_and_the_verdict_its_own(
    search: Precision | None, verdict: bool, pixels: NDArray[np.uint8]
) -> None:
    base, own = model_of(0), model_of(1)
    model = WrappedModel(base)
    base.mixed = verdict
    rows = np.eye(3, dtype=np.uint8)[np.arange(QUERIES) % 3]
    clean = encode(model_of(0), pixels).codes
    known = Known.of(rows, clean, clean, rows)
    threat, before = Threat(Eps.parse("8/255")), flags()
    seen.clear()
    outcome = run_attack(
        Spy(),
        model,
        pixels,
        Attacker(known, surrogate=SurrogateModel(own, known)),
        threat,
        range(QUERIES),
        batch=QUERIES,
        search=search,
    )
    images = torch.from_numpy(pixels).float() / 255
    ((target, surrogate, during),) = seen
    mixed = verdict if search is None else search is Precision.MIXED
    for found, net, wanted in ((target, base, mixed), (surrogate, own, mixed and bool(search))):
        with torch.no_grad():
            net.mixed = wanted
            assert torch.equal(found.detach(), net.logits(images))
            net.mixed = not wanted
            assert not torch.equal(found.detach(), net.logits(images))
    assert during == ((search is Precision.TF32,) * 2 if search else before)
    assert flags() == before
    # Put back by the run, and judged so.
    base.mixed = verdict
    attacked = threat.project(images + threat.radius, images)
    assert np.array_equal(outcome.codes, encode(model, attacked.numpy()).codes)


def test_what_was_changed_is_put_back_also_after_an_error() -> None:
    model, before = model_of(0), flags()

    def broken() -> None:
        with computing_in(Precision.MIXED, model):
            assert model.mixed
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        broken()
    assert not model.mixed
    assert flags() == before


@pytest.mark.parametrize(
    ("precision", "allowed"), [("float32", False), ("tf32", True), ("mixed", False)]
)
@pytest.mark.parametrize("outside", [False, True])
def test_a_step_on_a_gpu_rounds_only_where_it_is_asked_to(
    precision: str, allowed: bool, outside: bool
) -> None:
    before = flags()
    try:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = outside
        with exact("cuda", precision):
            assert flags() == (allowed, allowed)
            assert torch.are_deterministic_algorithms_enabled()
        assert flags() == (outside, outside)
        assert not torch.are_deterministic_algorithms_enabled()
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


def test_kernels_that_have_no_order_are_not_told_to_the_terminal() -> None:
    text = "adaptive_avg_pool2d_backward_cuda does not have a deterministic implementation, but you"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with exact("cuda"):
            warnings.warn(text, UserWarning, stacklevel=1)
            warnings.warn("something else", UserWarning, stacklevel=1)
    assert [str(one.message) for one in told] == ["something else"]


def test_tf32_is_a_gpus_and_other_words_are_refused() -> None:
    for name in ("precision", "search"):
        with pytest.raises(UsageError, match=f"compute.{name} is 'tf32', in which only a GPU"):
            _compute(**{name: "tf32"})
        with pytest.raises(UsageError, match=f"compute.{name} is 'fast', expected float32, tf32"):
            _compute(**{name: "fast"})
        assert getattr(_compute(device="cuda", **{name: "tf32"}), name) == "tf32"


def _compute(**said: Any) -> Compute:
    return Compute(**said)


def test_a_search_in_the_verdicts_precision_is_no_other() -> None:
    plain = Compute().recorded()
    assert "search" not in plain
    assert Compute(search="float32").recorded() == plain
    assert Compute(precision="mixed", search="mixed").other_search is None
    assert Compute(search="mixed").recorded() == {**plain, "search": "mixed"}
    assert Compute(precision="mixed", search="float32").other_search == "float32"
