"""Losses, schedules and whole runs against numbers computed by the research repositories."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench.attacking import (
    AlphaSchedule,
    AttackedModel,
    Eps,
    Goal,
    QueryRandom,
    Threat,
    anchor_codes,
)
from hashbench.attacking.goal import Known
from hashbench.hashing import HashModel
from hashbench.hashing.encode import evaluating, frozen
from hashbench.plugins import Aim, Attack
from support.exact import same_gradient, same_images, same_loss, same_outputs

Arrays = Mapping[str, NDArray[Any]]
Vectors = Callable[[str], Arrays]
Build = Callable[..., Attack]

HAG = importlib.import_module("hashbench.attacks.hag")
MAINSTAY = importlib.import_module("hashbench.attacks.mainstay")
PGDHamming = importlib.import_module("hashbench.attacks.pgd_hamming").PGDHamming
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
    same_loss(loss, given[f"c0_{case}_loss"])
    same_gradient(gradient, given[f"c0_{case}_grad"])


def test_hag_mask(vectors: Vectors) -> None:
    given = vectors("attack_losses")
    u, clean = torch.from_numpy(given["c0_u"]), torch.from_numpy(given["c0_h"])
    found = HAG.unflipped_bits(u, clean, 0.5)
    assert np.array_equal(found.numpy(), given["c0_hag_saat_mask"])
    assert 0 < found.mean() < 1


def test_hag_loss_of_sigir(vectors: Vectors) -> None:
    # The script pools the sums of a batch, as if all its bits were one query's. `u` and `h` are
    # what it has after its second tanh, which the attack's run below holds.
    given = vectors("attack_losses")
    clean = torch.from_numpy(given["c0_h"]).reshape(1, -1)
    point = torch.from_numpy(given["c0_u"]).requires_grad_(True)
    loss = HAG.hag_loss(point.reshape(1, -1), clean, margin=0.5, balance=0.0, all_bits=True)
    assert loss.shape == (1,)
    (gradient,) = torch.autograd.grad(loss.sum(), point)
    same_loss(loss[0], given["c0_hag_sigir_loss"])
    same_gradient(gradient, given["c0_hag_sigir_grad"])


def sdha_surrogate(given: Arrays, targeted: bool) -> Callable[[Tensor], Tensor]:
    """Row 0 of the untargeted similarity is empty: that query runs from its own code."""
    assert not given["c0_sim"][0].any()
    surrogate = SDHA.SurrogateLoss(
        torch.from_numpy(given["c0_train_out"]).sign(),
        torch.from_numpy(given["c0_sim_targeted" if targeted else "c0_sim"]),
        torch.from_numpy(given["c0_h"]).sign(),
        slope=10.0 if targeted else 5.0,
        nearness=-0.3 if targeted else 0.5,
        targeted=targeted,
    )
    loss: Callable[[Tensor], Tensor] = surrogate.loss
    return loss


SDHA_CASES = pytest.mark.parametrize(("suffix", "targeted"), [("", False), ("_targeted", True)])


@SDHA_CASES
def test_sdha_surrogate(suffix: str, targeted: bool, vectors: Vectors) -> None:
    given = vectors("attack_losses")
    loss, gradient = loss_and_gradient(sdha_surrogate(given, targeted), given["c0_u"])
    same_loss(loss, given[f"c0_sdha_surrogate{suffix}_loss"])
    same_gradient(gradient, given[f"c0_sdha_surrogate{suffix}_grad"])


@SDHA_CASES
def test_sdha_total(suffix: str, targeted: bool, vectors: Vectors, attack_named: Build) -> None:
    # The mean squared change plus scale / K times the surrogate, with the attack's default scale.
    given = vectors("attack_losses")
    surrogate = sdha_surrogate(given, targeted)
    size = torch.from_numpy((given["c0_x_hat"] - given["c0_x"]) ** 2).flatten(1).mean(dim=1)
    scale = attack_named("sdha").scale / given["c0_u"].shape[1]  # type: ignore[attr-defined]
    loss, gradient = loss_and_gradient(lambda u: size + scale * surrogate(u), given["c0_u"])
    same_loss(loss, given[f"c0_sdha_total{suffix}_loss"])
    same_gradient(gradient, given[f"c0_sdha_total{suffix}_grad"])


@pytest.mark.parametrize(
    ("case", "targeted"), [("saat_attack_untargeted", False), ("saat_attack_targeted", True)]
)
def test_mainstay_loss(case: str, targeted: bool, vectors: Vectors) -> None:
    # The repository divides by the counted bits of the whole batch, the attack by each query's.
    given = vectors("attack_losses")
    codes = torch.from_numpy(given["c0_code"])
    point = torch.from_numpy(given["c0_u"]).requires_grad_(True)
    terms, counted = MAINSTAY.mainstay_terms(point, codes, targeted=targeted)
    assert terms.shape == counted.shape == point.shape
    loss = terms.sum() / counted.sum()
    (gradient,) = torch.autograd.grad(loss, point)
    same_loss(loss, given[f"c0_{case}_loss"])
    same_gradient(gradient, given[f"c0_{case}_grad"])
    assert 0 < counted.mean() < 1, "a case in which all bits count shows no mask"


@pytest.mark.parametrize("case", ["single", "multi", "degenerate"])
def test_mainstay_codes(case: str, vectors: Vectors) -> None:
    given = {name: torch.from_numpy(value) for name, value in vectors("center_codes").items()}
    queries = given[f"{case}_query_labels"]
    codes, labels = given[f"{case}_train_codes"], given[f"{case}_train_labels"]
    known = Known(queries, torch.zeros(len(queries), codes.shape[1]), codes, labels)
    found = MAINSTAY.mainstay_codes(Goal("mainstay", known, True, True))
    wanted = given[f"{case}_saat_mainstay"]
    # Where both means are equal the repository gives the sign of a rounding error.
    sure = found != 0
    assert torch.equal(found[sure], wanted[sure])
    assert sure.float().mean() > 0.9


def opposite_codes(given: Arrays, sign: int) -> Known:
    """What an attacker of case c0 knows, its codes turned by -1: one class for each query."""
    return Known(
        labels=torch.eye(len(given["c0_u"])).double(),
        center_codes=sign * torch.from_numpy(given["c0_code"]),
        train_codes=torch.from_numpy(given["c0_train_out"]).sign(),
        train_labels=torch.from_numpy(given["c0_sim"].T.copy()),
    )


@pytest.mark.parametrize(
    ("case", "sign"),
    [
        ("cgat_adv", 1),
        # SAAT and ATRDH attack like this while they train; a target is an opposite code.
        ("saat_train_adv", 1),
        ("atrdh_inner", -1),
    ],
)
def test_what_pgd_descends_on(case: str, sign: int, vectors: Vectors) -> None:
    given = vectors("attack_losses")
    goal = Goal("pgd-hamming", opposite_codes(given, sign), with_labels=True, with_training=True)
    rng = QueryRandom(range(len(given["c0_u"])))
    loss, gradient = loss_and_gradient(PGDHamming().loss(goal, rng), given["c0_u"])
    same_loss(loss, given[f"c0_{case}_loss"])
    same_gradient(gradient, given[f"c0_{case}_grad"])


@pytest.mark.parametrize(("case", "balance"), [("hag_saat", 1.0), ("hag_saat_beta0", 0.0)])
def test_what_hag_descends_on(case: str, balance: float, vectors: Vectors) -> None:
    given = vectors("attack_losses")
    descended = HAG.HAG(balance=balance).loss(torch.from_numpy(given["c0_h"]))
    loss, gradient = loss_and_gradient(descended, given["c0_u"])
    same_loss(loss, given[f"c0_{case}_loss"])
    same_gradient(gradient, given[f"c0_{case}_grad"])


@SDHA_CASES
def test_what_sdha_descends_on(
    suffix: str, targeted: bool, vectors: Vectors, attack_named: Build
) -> None:
    given = vectors("attack_losses")
    known = opposite_codes(given, 1)
    if targeted:
        own = torch.eye(len(given["c0_u"])).double()
        relevant = torch.from_numpy(given["c0_sim_targeted"].T.copy())
        known = replace(known, labels=0 * own, train_labels=relevant, target_labels=own)
    aim = Aim.TARGETED if targeted else Aim.UNTARGETED
    goal = Goal("sdha", known, with_labels=True, with_training=True, aim=aim)
    attack = attack_named("sdha@targeted" if targeted else "sdha")
    images, moved = (torch.from_numpy(given[name]) for name in ("c0_x", "c0_x_hat"))
    own_codes = torch.from_numpy(given["c0_h"]).sign()
    descended = attack.loss(images, own_codes, goal)  # type: ignore[attr-defined]
    loss, gradient = loss_and_gradient(lambda u: descended(moved, u), given["c0_u"])
    same_loss(loss, given[f"c0_sdha_total{suffix}_loss"])
    same_gradient(gradient, given[f"c0_sdha_total{suffix}_grad"])


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
    vector_model: Callable[[Arrays], HashModel],
) -> None:
    given = vectors("attack_runs")
    model = vector_model(given)
    attack = attack_named("pgd-hamming@inner", **settings)
    found = perturbed(attack, model, given, towards(sign * given["code"]), eps)
    same_images(found, given[f"{case}_x_adv"])
    same_outputs(model(found), given[f"{case}_out"])


def test_mainstay_run(
    vectors: Vectors, attack_named: Build, vector_model: Callable[[Arrays], HashModel]
) -> None:
    given = vectors("attack_runs")
    model = vector_model(given)
    # Each query a class of its own, and the opposites of all codes in another: the mainstay code is
    # the given one.
    codes = torch.from_numpy(given["code"])
    labels, other = torch.eye(5, 6), torch.eye(6)[5:].repeat(5, 1)
    known = Known(labels, codes, torch.cat([codes, -codes]), torch.cat([labels, other]))
    found = perturbed(attack_named("mainstay@bim"), model, given, known, "8/255")
    same_images(found, given["saat_bim100_untargeted_x_adv"])
    same_outputs(model(found), given["saat_bim100_untargeted_out"])


def same_but_for_rounding(
    run: Callable[[Tensor], Tensor], images: Tensor, wanted: NDArray[Any]
) -> Tensor:
    """Run a descent of 100 steps on the raw gradient, and hold it against a run in float32.

    Such a run carries every rounding on, more in one query than in another. How much is asked of
    the run itself: its images are moved by at most half a float32 step. A float32 run rounds like
    that in each step, and a hundred independent roundings add up to ten.
    """
    found = run(images)
    moved = torch.zeros(len(images), dtype=torch.float64)
    for seed in range(8):
        unit = torch.rand(images.shape, generator=torch.Generator().manual_seed(seed))
        shifted = run(images + 2.0**-24 * (2 * unit.double() - 1))
        moved = torch.maximum(moved, (shifted - found).abs().flatten(1).amax(dim=1))
    off = (found - torch.from_numpy(wanted)).abs().flatten(1).amax(dim=1)
    assert (off <= 10 * moved).all(), (off, moved)
    assert moved.max() < 1e-3, "the run multiplies rounding so much that it shows nothing"
    return found


def test_hag_run(
    vectors: Vectors, attack_named: Build, vector_model: Callable[[Arrays], HashModel]
) -> None:
    given = vectors("attack_runs")
    model = vector_model(given)
    images = torch.from_numpy(given["x"])
    same_outputs(model(images), given["out_clean"])
    assert np.array_equal(model.codes(images).numpy(), given["hag_saat_100_clean_sign"])
    # The reference takes its rate of 100 to the mean over a batch of 5: 20 for each query.
    attack = attack_named("hag", steps=100, learning_rate=100 / 5)
    known = towards(given["code"])
    found = same_but_for_rounding(
        lambda x: perturbed(attack, model, {**given, "x": x.numpy()}, known, "8/255"),
        images,
        given["hag_saat_100_x_adv"],
    )
    wanted = given["hag_saat_100_true_sign"]
    assert np.array_equal(model.codes(found).numpy(), wanted)
    # Not the codes from before the last update, which the repository reports.
    assert (wanted != given["hag_saat_100_reported_sign"]).any()


def sigir_script(model: AttackedModel, x: Tensor, steps: int, eps: float) -> Tensor:
    """SIGIR'21's HAG on some images as one batch: tanh twice, sums pooled."""
    h = torch.tanh(torch.tanh(model.logits(x)))
    delta = torch.zeros_like(x)
    for _ in range(steps):
        delta.requires_grad_(True)
        u = torch.tanh(torch.tanh(model.logits(x + delta)))
        count = ((u - h.sign()).abs() < 1.5).sum()
        loss = ((h * u).sum() / count + 1) ** 2
        (gradient,) = torch.autograd.grad(loss, delta)
        delta = (delta.detach() - gradient).clamp(-eps, eps)
        delta = (x + delta).clamp(0, 1) - x
    return x + delta


@pytest.mark.parametrize("eps", ["8/255", "64/255"])
def test_hag_of_sigir_is_its_script_at_batch_size_1(
    eps: str,
    vectors: Vectors,
    attack_named: Build,
    vector_model: Callable[[Arrays], HashModel],
) -> None:
    # A few steps: its jumps over the minimum multiply every rounding, in one query
    # from 1e-16 to 1e-7 within 40 steps.
    given = vectors("attack_runs")
    model, images = AttackedModel(vector_model(given)), torch.from_numpy(given["x"])
    attack, threat = attack_named("hag@sigir", steps=15), Threat(Eps.parse(eps))
    goal = Goal("hag", towards(given["code"]), with_labels=False, with_training=False)
    found = attack.perturb(model, images, goal, threat, QueryRandom(range(len(images))))
    alone = torch.cat([sigir_script(model, one, 15, threat.radius) for one in images.split(1)])
    torch.testing.assert_close(found, alone, rtol=0, atol=1e-9)
    # In the script's own batch of 5 every query ends elsewhere.
    together = sigir_script(model, images, 15, threat.radius)
    assert ((found - together).abs().flatten(1).amax(dim=1) > 1e-3).all()


def test_sdha_run(
    vectors: Vectors, attack_named: Build, vector_model: Callable[[Arrays], HashModel]
) -> None:
    given = vectors("attack_runs")
    model = vector_model(given)
    # One class per query, so that labels @ train labels is the reference's similarity.
    known = Known(
        labels=torch.eye(5).double(),
        center_codes=torch.from_numpy(given["code"]),
        train_codes=torch.from_numpy(given["sdha_train_out"]).sign(),
        train_labels=torch.from_numpy(given["sdha_sim"].T.copy()),
    )
    attack = attack_named("sdha", steps=100)
    found = same_but_for_rounding(
        lambda x: perturbed(attack, model, {**given, "x": x.numpy()}, known, "8/255"),
        torch.from_numpy(given["x"]),
        given["sdha_saat_100_x_adv"],
    )
    wanted = given["sdha_saat_100_true_sign"]
    assert np.array_equal(model.codes(found).numpy(), wanted)
    assert (wanted != given["sdha_saat_100_reported_sign"]).any()


def cases(given: Arrays) -> list[str]:
    """Every case of the losses that is in the file, `c0` and on."""
    return sorted(name[:-2] for name in given if re.fullmatch(r"c\d+_u", name))


def per_query(loss: Callable[[Tensor], Tensor], given: Arrays, case: str) -> tuple[Tensor, Tensor]:
    """The loss of each query, and the gradient of their sum."""
    point = torch.from_numpy(given[f"{case}_u"]).requires_grad_(True)
    losses = loss(point)
    assert losses.shape == (len(point),)
    (gradient,) = torch.autograd.grad(losses.sum(), point)
    return losses.detach(), gradient


def targeted_goal(given: Arrays, case: str) -> Goal:
    """Every query a target class of its own, whose one training code is the query's target code."""
    codes = torch.from_numpy(given[f"{case}_code"])
    own = torch.eye(len(codes)).double()
    known = Known(0 * own, 0 * codes, codes, own, target_labels=own)
    return Goal("targeted", known, False, True, aim=Aim.TARGETED, network=TargetCodes(codes))


class TargetCodes(torch.nn.Module):
    """A prototype network that gives its target code for each class."""

    def __init__(self, codes: Tensor) -> None:
        super().__init__()
        self.codes = codes

    def forward(self, labels: Tensor) -> Tensor:
        return 0.3 * labels @ self.codes


@pytest.mark.parametrize(
    ("name", "reference"),
    [("dhta", "dhta_pros"), ("dhta", "dhta_saat"), ("p2p", "dhta_saat"), ("tha", "tha_sigir")],
)
def test_losses_towards_a_code(
    name: str, reference: str, vectors: Vectors, attack_named: Build
) -> None:
    given = vectors("attack_losses")
    for case in cases(given):
        goal = targeted_goal(given, case)
        rng = QueryRandom(range(len(goal.target_labels)))
        losses, gradient = per_query(attack_named(name).loss(goal, rng), given, case)  # type: ignore[attr-defined]
        # The repositories take the mean over the batch.
        same_loss(losses.mean(), given[f"{case}_{reference}_loss"])
        same_gradient(gradient / len(losses), given[f"{case}_{reference}_grad"])


def test_loss_of_dhtas_own_script(vectors: Vectors, attack_named: Build) -> None:
    # It attacks one image at a time: the vectors hold query 0's loss.
    given = vectors("attack_losses")
    for case in cases(given):
        goal = targeted_goal(given, case)
        rng = QueryRandom(range(len(goal.target_labels)))
        losses, gradient = per_query(attack_named("dhta").loss(goal, rng), given, case)  # type: ignore[attr-defined]
        same_loss(losses[0], given[f"{case}_dhta_bai_row0_loss"])
        gradient[1:] = 0
        same_gradient(gradient, given[f"{case}_dhta_bai_row0_grad"])


def test_anchor_codes(vectors: Vectors) -> None:
    given = vectors("attack_losses")
    found = [re.fullmatch(r"((?:c\d+_)?anchor_)codes(\d+)", name) for name in given]
    names = [match for match in found if match]
    assert names, "the vectors hold no anchors"
    for match in names:
        codes = torch.from_numpy(given[match[0]])
        count = len(codes)
        assert count == int(match[2])
        wanted = given[f"{match[1]}out{'' if count == 9 else count}"]
        # All images are of the target, so an anchor of as many codes is made of each.
        labels = torch.ones(count, 1)
        known = Known(labels[:1], 0 * codes[:1], codes, labels, target_labels=labels[:1])
        goal = Goal("dhta", known, False, True, aim=Aim.TARGETED)
        anchor = anchor_codes(goal, count, QueryRandom([3]))
        assert np.array_equal(anchor[0].numpy(), wanted)


def test_dhta_run(
    vectors: Vectors, attack_named: Build, vector_model: Callable[[Arrays], HashModel]
) -> None:
    given = vectors("attack_runs")
    model, codes = vector_model(given), torch.from_numpy(given["code"])
    own = torch.eye(len(codes)).double()
    known = Known(0 * own, 0 * codes, codes, own, target_labels=own)
    goal = Goal("dhta", known, False, True, aim=Aim.TARGETED)
    attack, images = attack_named("dhta", steps=100), torch.from_numpy(given["x"])
    with evaluating(model), frozen(model):
        threat, rng = Threat(Eps.parse("0.032")), QueryRandom(range(len(images)))
        found = attack.perturb(AttackedModel(model), images, goal, threat, rng)
    same_images(found, given["dhta_saat_100_sign_alpha_x_adv"])
    same_outputs(model(found), given["dhta_saat_100_sign_alpha_out"])
