"""Losses, schedules and whole runs against numbers computed by the research repositories."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.evaluation import AlphaSchedule, AttackedModel, Eps, Goal, QueryRandom, Threat
from hashbench.evaluation.goal import Known
from hashbench.hashing import HashModel
from hashbench.hashing.encode import evaluating, frozen
from hashbench.plugins import Attack

Arrays = Mapping[str, NDArray[Any]]
Vectors = Callable[[str], Arrays]
Build = Callable[..., Attack]

HAG = importlib.import_module("hashbench.attacks.hag")
SDHA = importlib.import_module("hashbench.attacks.sdha")


class Starts(QueryRandom):
    """Gives the random start that the reference drew, instead of drawing."""

    def __init__(self, start: Tensor) -> None:
        super().__init__(range(len(start)))
        self._start = start

    def uniform(self, shape: Any, low: float = 0.0, high: float = 1.0) -> Tensor:
        assert tuple(shape) == tuple(self._start.shape[1:])
        assert low <= float(self._start.min()) < float(self._start.max()) <= high
        return self._start


def close(found: Tensor, wanted: NDArray[Any]) -> None:
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-5, atol=1e-8)


def loss_and_gradient(
    loss: Callable[[Tensor], Tensor], outputs: NDArray[Any]
) -> tuple[Tensor, Tensor]:
    """Of the batch mean, as the repositories take it; ours is a loss per query."""
    point = torch.from_numpy(outputs).requires_grad_(True)
    per_query = loss(point)
    assert per_query.shape == (len(outputs),)
    mean = per_query.sum() / len(outputs)
    (gradient,) = torch.autograd.grad(mean, point)
    return mean, gradient


@pytest.mark.parametrize(("case", "balance"), [("hag_saat", 1.0), ("hag_saat_beta0", 0.0)])
def test_hag_loss(case: str, balance: float, vectors: Vectors) -> None:
    given = vectors("attack_losses")
    clean = torch.from_numpy(given["c0_h"])
    loss, gradient = loss_and_gradient(
        lambda u: HAG.hag_loss(u, clean, margin=0.5, balance=balance), given["c0_u"]
    )
    close(loss, given[f"c0_{case}_loss"])
    close(gradient, given[f"c0_{case}_grad"])


def sdha_surrogate(given: Arrays) -> Callable[[Tensor], Tensor]:
    """Row 0 of the similarity is empty: that query runs from its own code."""
    assert not given["c0_sim"][0].any()
    surrogate = SDHA.Surrogate(
        torch.from_numpy(given["c0_train_out"]).sign(),
        torch.from_numpy(given["c0_sim"]),
        torch.from_numpy(given["c0_h"]).sign(),
        slope=5.0,
        nearness=0.5,
    )
    distance: Callable[[Tensor], Tensor] = surrogate.distance
    return distance


def test_sdha_surrogate(vectors: Vectors) -> None:
    given = vectors("attack_losses")
    distance = sdha_surrogate(given)
    loss, gradient = loss_and_gradient(lambda u: -distance(u), given["c0_u"])
    close(loss, given["c0_sdha_surrogate_loss"])
    close(gradient, given["c0_sdha_surrogate_grad"])


def test_sdha_total(vectors: Vectors, attack_named: Build) -> None:
    # The mean squared change plus scale / K times the surrogate, with the attack's default scale;
    # that the attack puts it together like this shows in its run below.
    given = vectors("attack_losses")
    distance = sdha_surrogate(given)
    size = torch.from_numpy((given["c0_x_hat"] - given["c0_x"]) ** 2).flatten(1).mean(dim=1)
    scale = attack_named("sdha").scale / given["c0_u"].shape[1]  # type: ignore[attr-defined]
    loss, gradient = loss_and_gradient(lambda u: size - scale * distance(u), given["c0_u"])
    close(loss, given["c0_sdha_total_loss"])
    close(gradient, given["c0_sdha_total_grad"])


def test_pgd_objective_is_cgats_adversarial_loss(vectors: Vectors, attack_named: Build) -> None:
    # One step of size s moves each input by -s * sign(gradient); on an 'image' that is the logit of
    # each output, the signs are those of the reference gradient.
    given = vectors("attack_losses")
    outputs = torch.from_numpy(given["c0_u"])
    queries, bits = outputs.shape

    class Logits(AttackedModel):
        def __init__(self) -> None:
            self.bits = bits

        def logits(self, images: Tensor) -> Tensor:
            return torch.atanh(outputs) + (images.flatten(1) - 0.5)

    attack = attack_named("pgd-hamming", steps=1, step_size=0.01, random_start=False)
    codes = torch.from_numpy(given["c0_code"])
    moved = attack.perturb(
        Logits(),
        torch.full((queries, 1, 1, bits), 0.5),
        Goal("pgd-hamming", Known(codes, codes, codes, codes), True, True),
        Threat(Eps.parse("0.1")),
        QueryRandom(range(queries)),
    )
    wanted = 0.5 - 0.01 * np.sign(given["c0_cgat_adv_grad"])
    np.testing.assert_allclose(moved.flatten(1).numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize(
    ("case", "steps"),
    [
        ("alpha_saat_100", 100),
        ("alpha_saat_1500", 1500),
        ("alpha_saat_2000", 2000),
        ("alpha_bai_2000", 2000),
        ("alpha_wang_2000", 2000),
    ],
)
def test_alpha_schedule(case: str, steps: int, vectors: Vectors) -> None:
    found = [AlphaSchedule.TENTHS.at(step, steps) for step in range(steps)]
    assert found == vectors("attack_losses")[case].tolist()


def perturbed(attack: Attack, model: HashModel, given: Arrays, known: Known, eps: str) -> Tensor:
    """What the harness hands to an attack, with the reference's random start."""
    images = torch.from_numpy(given["x"])
    rng = Starts(torch.from_numpy(given["delta0"]))
    goal = Goal(attack.card.name, known, with_labels=True, with_training=True)
    with evaluating(model), frozen(model):
        return attack.perturb(AttackedModel(model), images, goal, Threat(Eps.parse(eps)), rng)


def towards(codes: NDArray[Any]) -> Known:
    """An attacker whose center code is given; pgd-hamming uses nothing else."""
    centers = torch.from_numpy(codes)
    return Known(labels=centers, center_codes=centers, train_codes=centers, train_labels=centers)


@pytest.mark.parametrize(
    ("case", "eps", "sign", "settings"),
    [
        ("cgat_hash_adv_7x2_norand", "8/255", 1, {"random_start": False}),
        # A targeted attack on a code is an untargeted one on its opposite.
        ("atrdh_gen_7x2_rand", "8/255", -1, {}),
        (
            "dhta_saat_100_sign_alpha",
            "0.032",
            -1,
            {"steps": 100, "step_size": "1/255", "random_start": False, "alpha": "tenths"},
        ),
    ],
)
def test_pgd_runs(
    case: str,
    eps: str,
    sign: int,
    settings: dict[str, object],
    vectors: Vectors,
    attack_named: Build,
    reference_model: Callable[[Arrays], HashModel],
) -> None:
    given = vectors("attack_runs")
    model = reference_model(given)
    attack = attack_named("pgd-hamming@inner", **settings)
    found = perturbed(attack, model, given, towards(sign * given["code"]), eps)
    np.testing.assert_allclose(found.numpy(), given[f"{case}_x_adv"], atol=1e-6)
    close(model(found), given[f"{case}_out"])


def test_hag_run(
    vectors: Vectors, attack_named: Build, reference_model: Callable[[Arrays], HashModel]
) -> None:
    given = vectors("attack_runs")
    model = reference_model(given)
    close(model(torch.from_numpy(given["x"])), given["out_clean"])
    # The reference takes its rate of 100 to the mean over a batch of 5: 20 for each query.
    attack = attack_named("hag", steps=100, learning_rate=100 / 5)
    found = perturbed(attack, model, given, towards(given["code"]), "8/255")
    np.testing.assert_allclose(found.numpy(), given["hag_saat_100_x_adv"], atol=5e-5)
    wanted = given["hag_saat_100_true_sign"]
    assert np.array_equal(model.codes(found).numpy(), wanted)
    # Not the codes from before the last update, which the repository reports.
    assert (wanted != given["hag_saat_100_reported_sign"]).any()


def test_sdha_run(
    vectors: Vectors, attack_named: Build, reference_model: Callable[[Arrays], HashModel]
) -> None:
    given = vectors("attack_runs")
    model = reference_model(given)
    # One class per query, so that labels @ train labels is the reference's similarity.
    known = Known(
        labels=torch.eye(5),
        center_codes=torch.from_numpy(given["code"]),
        train_codes=torch.from_numpy(given["sdha_train_out"]).sign(),
        train_labels=torch.from_numpy(given["sdha_sim"].T.copy()),
    )
    attack = attack_named("sdha", steps=100)
    found = perturbed(attack, model, given, known, "8/255")
    np.testing.assert_allclose(found.numpy(), given["sdha_saat_100_x_adv"], atol=1e-5)
    wanted = given["sdha_saat_100_true_sign"]
    assert np.array_equal(model.codes(found).numpy(), wanted)
    assert (wanted != given["sdha_saat_100_reported_sign"]).any()
