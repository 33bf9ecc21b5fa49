"""The harness's contract: what it refuses, what it repairs, and what it leaves as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench.attacking import AttackedModel, AttackOutcome, Goal, Known, QueryRandom
from hashbench.errors import PluginError, TrainingError, UsageError
from hashbench.hashing import HashModel, encode
from hashbench.plugins import Access, Attack, Knowledge, attack
from support.acting import Actor

Run = Callable[..., AttackOutcome]
Answer = Callable[[Tensor], Any]


@attack("sample")
@dataclass(frozen=True)
class Sample(Attack):
    """Answers with whatever a function makes of the images."""

    answer: Answer

    def perturb(self, model: Any, images: Tensor, goal: Any, threat: Any, rng: Any) -> Tensor:  # noqa: ARG002
        answer: Tensor = self.answer(images)
        return answer


def _written_in_place(images: Tensor) -> Tensor:
    images[0, 0, 0, 0] = 0.123
    return images.clone()


def _nan_in_place(images: Tensor) -> Tensor:
    images[-1] = torch.nan
    return torch.zeros_like(images)


def _one_value(value: float) -> Answer:
    def answer(images: Tensor) -> Tensor:
        changed = images.clone()
        changed[-1, 0, 0, 0] = value
        return changed

    return answer


@pytest.mark.parametrize(
    ("answer", "rule"),
    [
        (lambda images: images[:1], r"shape \(4, 3, 3, 3\).*returned \(1, 3, 3, 3\)"),
        (lambda images: images.flatten(1), r"shape \(4, 3, 3, 3\).*returned \(4, 27\)"),
        (lambda images: images.sum(), r"shape \(4, 3, 3, 3\).*returned \(\)"),
        (lambda images: images.double(), "torch.float32 images.*returned torch.float64"),
        (lambda images: images.half(), "torch.float32 images.*returned torch.float16"),
        (lambda images: (255 * images).byte(), "torch.float32 images.*returned torch.uint8"),
        (_one_value(float("nan")), "finite"),
        (_one_value(float("inf")), "finite"),
        (_one_value(float("-inf")), "finite"),
        (_written_in_place, "in place"),
        (_nan_in_place, "in place"),
        (lambda images: images.numpy(), "tensor.*ndarray"),
        (lambda _: None, "tensor.*NoneType"),
        (lambda images: [images], "tensor.*list"),
    ],
)
def test_a_broken_rule_is_an_error_that_names_attack_and_rule(
    answer: Answer, rule: str, run: Run
) -> None:
    with pytest.raises(PluginError, match=rule) as refusal:
        run(Sample(answer))
    assert "'sample'" in str(refusal.value)


@pytest.mark.parametrize("what", ["labels", "center_codes", "train_codes", "train_labels"])
def test_what_is_told_is_not_changed_in_place(what: str, run: Run) -> None:
    # The next batch is told the same: the training codes are on the device once.
    def act(_: Any, images: Tensor, goal: Goal) -> Tensor:
        getattr(goal, what)[0] *= 1
        return images

    rule = rf"attack 'actor' must not change what it is told in place, but changed goal\.{what}"
    with pytest.raises(PluginError, match=rule):
        run(Actor(act))


def test_the_input_itself_is_an_answer(run: Run, model: HashModel, pixels: Any) -> None:
    outcome = run(Sample(lambda images: images))
    assert np.array_equal(outcome.codes, encode(model, pixels).codes)
    assert not outcome.linf.any()


def test_an_answer_with_a_graph_is_detached(run: Run) -> None:
    outcome = run(Sample(lambda images: images + torch.zeros(1, requires_grad=True)))
    assert not outcome.linf.any()


@pytest.mark.parametrize("shift", [8 / 255, -8 / 255, 8 / 255 + 9e-7])
def test_an_answer_outside_the_box_is_clipped(
    shift: float, run: Run, model: HashModel, pixels: NDArray[np.uint8]
) -> None:
    radius = np.float32(8 / 255)
    outcome = run(Sample(lambda images: images + shift))
    clean = pixels.astype(np.float32) / 255
    wanted = np.clip(clean + np.float32(np.sign(shift)) * radius, 0, 1).astype(np.float32)
    assert np.allclose(outcome.linf, np.abs(wanted - clean).max(axis=(1, 2, 3)), atol=1e-6)
    assert outcome.linf.max() <= 8 / 255 + 1e-6
    lengths = np.sqrt(((wanted - clean).astype(np.float64) ** 2).sum(axis=(1, 2, 3)))
    assert np.allclose(outcome.l2, lengths, atol=1e-6)
    # The codes are those of the clipped image.
    assert np.array_equal(outcome.codes, encode(model, wanted).codes)


@pytest.mark.parametrize("shift", [0.5, -0.5, 8 / 255 + 2e-6])
def test_an_answer_that_leaves_the_ball_is_refused(shift: float, run: Run) -> None:
    rule = r"attack 'sample' must stay in the ball of radius 8/255 \(0\.031373\), but changed"
    with pytest.raises(PluginError, match=rule):
        run(Sample(lambda images: images + shift))


def test_far_outside_the_box_is_in_the_ball_where_the_box_ends_in_it(
    run: Run, model: HashModel, pixels: NDArray[np.uint8]
) -> None:
    # At radius 1 every image of the box is in the ball: what lies beyond it is clipped.
    outcome = run(Sample(lambda images: images + 100), eps="1")
    white = np.ones_like(pixels, dtype=np.float32)
    assert np.array_equal(outcome.codes, encode(model, white).codes)


def test_at_eps_0_any_answer_is_the_clean_image(
    run: Run, model: HashModel, pixels: NDArray[np.uint8]
) -> None:
    outcome = run(Sample(lambda images: images + 5e-7), eps="0")
    assert np.array_equal(outcome.codes, encode(model, pixels).codes)
    assert not outcome.linf.any()


def _state(model: HashModel) -> list[Any]:
    modes = [module.training for module in model.modules()]
    return [modes, [parameter.requires_grad for parameter in model.parameters()]]


@pytest.mark.parametrize("fails", [False, True])
def test_modes_and_gradients_are_switched_off_and_restored(
    fails: bool, run: Run, model: HashModel
) -> None:
    # A mixed state: the model trains, one layer does not, one parameter is frozen.
    model.train()
    next(module for module in model.modules() if isinstance(module, nn.BatchNorm1d)).eval()
    model.hash_layer.bias.requires_grad_(False)
    before = _state(model)
    statistics = {name: value.clone() for name, value in model.state_dict().items()}
    inside: list[list[Any]] = []

    def look(view: AttackedModel, images: Tensor, _: Goal) -> Tensor:
        inside.append(_state(model))
        point = images.clone().requires_grad_(True)
        view.outputs(point).sum().backward()
        if fails:
            raise ZeroDivisionError("the attack's own fault")
        return images

    if fails:
        with pytest.raises(ZeroDivisionError):
            run(Actor(look))
    else:
        run(Actor(look))
    for modes, wanted in inside:
        assert not any(modes)
        assert not any(wanted)
    assert inside
    assert _state(model) == before
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(torch.equal(value, statistics[name]) for name, value in model.state_dict().items())


def test_a_broken_rule_restores_the_model_too(run: Run, model: HashModel) -> None:
    model.train()
    with pytest.raises(PluginError):
        run(Sample(lambda images: images[:0]))
    assert model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_every_pass_of_the_attack_is_counted_and_none_of_the_harness(run: Run) -> None:
    def passes(view: AttackedModel, images: Tensor, _: Goal) -> Tensor:
        view.codes(images)  # forward
        view.outputs(images)  # forward, no gradient asked for
        point = images.clone().requires_grad_(True)
        for alpha in (0.1, 1.0):
            torch.autograd.grad(view.outputs(point, alpha).sum(), point)  # forward and backward
        view.logits(point[:1])  # forward of one image
        return images

    outcome = run(Actor(passes), batch=4)  # batches of 4, 4 and 3
    assert outcome.forwards == 4 * 11 + 3
    assert outcome.backwards == 2 * 11


def test_the_attacked_model_is_the_model(model: HashModel, pixels: NDArray[np.uint8]) -> None:
    images = torch.from_numpy(pixels).float() / 255
    seen = AttackedModel(model)
    with torch.no_grad():
        assert seen.bits == model.bits
        assert torch.equal(seen.logits(images), model.logits(images))
        assert torch.equal(seen.outputs(images), model.outputs(images))
        assert torch.equal(seen.outputs(images, 0.3), model.outputs(images, 0.3))
        assert torch.equal(seen.codes(images), model.codes(images))
    assert seen.forwards == 4 * len(images)
    assert seen.backwards == 0


READS: dict[str, Callable[[Goal], Tensor]] = {
    "labels": lambda goal: goal.labels,
    "center codes": lambda goal: goal.center_codes,
    "training codes": lambda goal: goal.train_codes,
    "training labels": lambda goal: goal.train_labels,
}

NEEDED = {
    "labels": {Knowledge.LABELS},
    "center codes": {Knowledge.LABELS, Knowledge.TRAINING},
    "training codes": {Knowledge.TRAINING},
    "training labels": {Knowledge.TRAINING},
}


@pytest.mark.parametrize(
    "declared",
    [(), (Knowledge.LABELS,), (Knowledge.TRAINING,), (Knowledge.LABELS, Knowledge.TRAINING)],
)
@pytest.mark.parametrize("what", list(READS))
def test_an_attack_reads_only_what_its_card_declares(
    what: str, declared: tuple[Knowledge, ...], run: Run
) -> None:
    @attack("reader", knowledge=declared)
    @dataclass(frozen=True)
    class Reader(Attack):
        """Reads one thing."""

        def perturb(self, model: Any, images: Tensor, goal: Goal, threat: Any, rng: Any) -> Tensor:  # noqa: ARG002
            READS[what](goal)
            return images

    missing = NEEDED[what] - set(declared)
    if not missing:
        run(Reader())
        return
    with pytest.raises(PluginError, match=rf"'reader' reads the {what}") as refusal:
        run(Reader())
    assert any(f"Knowledge.{member.name}" in str(refusal.value) for member in missing)


def test_each_batch_is_told_of_its_own_queries(run: Run, known: Known, pixels: Any) -> None:
    seen: list[tuple[Tensor, Goal]] = []

    def look(_: AttackedModel, images: Tensor, goal: Goal) -> Tensor:
        seen.append((images.clone(), goal))
        return images

    run(Actor(look), batch=4)
    assert [len(images) for images, _ in seen] == [4, 4, 3]
    told = torch.cat([images for images, _ in seen])
    assert torch.equal(told, torch.from_numpy(pixels).float() / 255)
    for name in ("labels", "center_codes", "train_codes", "train_labels"):
        rows = [getattr(goal, name) for _, goal in seen]
        assert all(row.dtype == torch.float32 for row in rows)
    assert torch.equal(torch.cat([goal.labels for _, goal in seen]), known.labels)
    assert torch.equal(torch.cat([goal.center_codes for _, goal in seen]), known.center_codes)
    for _, goal in seen:
        assert torch.equal(goal.train_codes, known.train_codes)
        assert torch.equal(goal.train_labels, known.train_labels)


def test_each_query_draws_from_its_own_seed(run: Run) -> None:
    drawn: list[Tensor] = []

    @attack("dice", knowledge=())
    @dataclass(frozen=True)
    class Dice(Attack):
        """Draws one number per query."""

        def perturb(self, model: Any, images: Tensor, goal: Any, threat: Any, rng: Any) -> Tensor:  # noqa: ARG002
            drawn.append(rng.uniform((1,))[:, 0])
            return images

    seeds = [50 + 3 * query for query in range(11)]
    run(Dice(), batch=4, seeds=seeds)
    assert torch.equal(torch.cat(drawn), QueryRandom(seeds).uniform((1,))[:, 0])


def test_progress_is_told_after_every_batch(run: Run) -> None:
    told: list[tuple[int, int]] = []
    run(Sample(lambda images: images), batch=4, progress=lambda *done: told.append(done))
    assert told == [(4, 11), (8, 11), (11, 11)]


@dataclass(frozen=True)
class Asking(Sample):
    """Asks the model so often, and announces so many passes."""

    asks: int = 8
    announced: int = 8

    def passes(self) -> int:
        return self.announced

    def perturb(self, model: Any, images: Tensor, goal: Any, threat: Any, rng: Any) -> Tensor:
        for _ in range(self.asks):
            model.codes(images)
        return super().perturb(model, images, goal, threat, rng)


def test_progress_within_a_batch_goes_by_its_passes(run: Run) -> None:
    """Eight passes over four queries: another query's worth with every second one."""
    told: list[tuple[int, int]] = []
    run(Asking(lambda images: images), batch=4, progress=lambda *done: told.append(done))
    assert told == [(done, 11) for done in range(1, 12)]


@pytest.mark.parametrize(("asks", "announced"), [(30, 2), (3, 0), (3, -1), (0, 7), (1, 1000)])
def test_progress_never_runs_ahead_of_the_answer_nor_back(
    run: Run, asks: int, announced: int
) -> None:
    told: list[tuple[int, int]] = []
    attack = Asking(lambda images: images, asks=asks, announced=announced)
    run(attack, batch=11, progress=lambda *done: told.append(done))
    counts = [done for done, _ in told]
    assert counts == sorted(set(counts))
    assert counts[-1] == 11
    if announced <= 0 or asks == 0:
        assert counts == [11]
    elif asks > announced:
        assert counts == [5, 10, 11]  # 2 passes of a batch are 11 queries' worth: told before them


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"batch": -3}, {"seeds": [1, 2]}])
def test_an_impossible_batch_or_too_few_seeds_are_refused(wrong: dict[str, Any], run: Run) -> None:
    with pytest.raises(UsageError, match=r"batch must be 1 or more and seeds one per query"):
        run(Sample(lambda images: images), **wrong)


def test_saturated_outputs_and_zero_gradients_are_counted(
    run: Run, model: HashModel, pixels: NDArray[np.uint8]
) -> None:
    # tanh is 1 in float32 from |z| of about 9 on; there its gradient is exactly 0.
    with torch.no_grad():
        model.hash_layer.weight.mul_(1e6)
    outcome = run(Sample(lambda images: images))
    images = torch.from_numpy(pixels).float() / 255
    outputs = model.outputs(images).detach()
    assert outcome.saturated == float((outputs.abs() == 1).float().mean()) > 0.9
    fully = (outputs.abs() == 1).all(dim=1).float().mean()
    assert outcome.zero_gradients == pytest.approx(float(fully))
    assert outcome.zero_gradients > 0.9
    with torch.no_grad():
        model.hash_layer.weight.mul_(1e-7)
    outcome = run(Sample(lambda images: images))
    assert outcome.saturated == outcome.zero_gradients == 0


def test_a_model_that_gives_nan_does_not_pass_as_robust(run: Run, model: HashModel) -> None:
    # The sign of NaN is 0 in torch: sign steps do not move, and NaN would be read as a code of -1.
    with torch.no_grad():
        model.hash_layer.weight[0, 0] = torch.nan
    with pytest.raises(TrainingError, match="NaN"):
        run(Actor(_sign_step))


def test_a_gradient_of_nan_counts_as_none(run: Run, model: HashModel) -> None:
    # x ** 0.5 has an infinite slope at 0, which the zero above it turns into NaN.
    class Root(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1)[:, :16] + 0 * (0 * images.flatten(1)[:, :16]).sqrt()

    model.backbone = Root()
    outcome = run(Actor(_sign_step))
    assert outcome.zero_gradients == 1
    assert not outcome.linf.any()


def _sign_step(view: AttackedModel, images: Tensor, _: Goal) -> Tensor:
    point = images.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(view.outputs(point).sum(), point)
    return images - 0.01 * gradient.sign()


@pytest.mark.parametrize(
    ("access", "allowed"),
    [
        (Access.GRADIENT, {"distances_from", "codes", "outputs", "logits"}),
        (Access.CODES, {"distances_from", "codes"}),
        (Access.DISTANCES, {"distances_from"}),
        (Access.RANKING, set()),
        (Access.NONE, set()),
    ],
)
def test_a_model_shows_no_more_than_the_card_asks_for(
    model: HashModel, pixels: NDArray[np.uint8], access: Access, allowed: set[str]
) -> None:
    target = AttackedModel(model, "mine", access)
    images = torch.from_numpy(pixels[:2]).float() / 255
    for question in ("codes", "outputs", "logits"):
        if question in allowed:
            assert getattr(target, question)(images).shape == (2, model.bits)
        else:
            with pytest.raises(PluginError, match=f"attack 'mine' asks .* access '{access}'"):
                getattr(target, question)(images)
