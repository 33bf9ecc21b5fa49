"""What an attack sees of a model that draws, in closed forms; without draws, what it was."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from hashbench.attacking import (
    AnnealedDescent,
    AttackedModel,
    Eps,
    KnownRanking,
    Threat,
    WorstCase,
)
from hashbench.attacking.attacked_model import OutOfPassesError
from hashbench.attacking.expectation import expected_loss, mean_of
from hashbench.errors import PluginError
from hashbench.hashing import BackboneNet, HashModel

PIXELS, BITS = 12, 5


class Flipping(HashModel):
    """One linear hash after the other: its D draws are D known models, whatever is asked of it."""

    def __init__(self, weights: Tensor) -> None:
        """Take the hashes in turn.

        Args:
            weights: (D, K, pixels), float64.
        """
        super().__init__(BackboneNet(nn.Flatten(), PIXELS, (0.0,), (1.0,)), weights.shape[1])
        self.weights = weights
        self.draws = len(weights)
        self.passes = 0

    def logits(self, images: Tensor) -> Tensor:
        weight = self.weights[self.passes % len(self.weights)]
        self.passes += 1
        return images.flatten(1) @ weight.T


def flipping(draws: int, seed: int = 0) -> Flipping:
    rng = torch.Generator().manual_seed(seed)
    weights = torch.randn(draws, BITS, PIXELS, generator=rng, dtype=torch.float64) / 3
    return Flipping(weights).eval().requires_grad_(False)


def some_images(count: int = 4) -> Tensor:
    rng = torch.Generator().manual_seed(9)
    return torch.rand(count, 1, 3, 4, generator=rng, dtype=torch.float64)


def gradient(loss: Tensor, point: Tensor) -> Tensor:
    (found,) = torch.autograd.grad(loss.sum(), point)
    return found


def squares(outputs: Tensor) -> Tensor:
    return outputs.square().sum(dim=1)


def test_the_loss_is_averaged_and_so_is_its_gradient_which_mean_logits_do_not_give() -> None:
    model, point = flipping(2), some_images().requires_grad_()
    alpha, x = 0.7, some_images().flatten(1)
    loss = AttackedModel(model).expected_loss(squares, point, alpha)
    found = gradient(loss, point).flatten(1)
    # L = mean_d sum_k tanh^2(alpha w_dk . x); its derivative is
    # mean_d sum_k 2 alpha tanh (1 - tanh^2) w_dk.
    values, slopes = [], []
    for weight in model.weights:
        u = torch.tanh(alpha * (x @ weight.T))
        values.append(u.square().sum(dim=1))
        slopes.append((2 * alpha * u * (1 - u.square())) @ weight)
    torch.testing.assert_close(loss, sum(values) / 2)
    torch.testing.assert_close(found, sum(slopes) / 2)
    # The mean hash has another loss, and the gradient of that points elsewhere.
    mean = torch.tanh(alpha * AttackedModel(flipping(2)).logits(point))
    other = gradient(squares(mean), point).flatten(1)
    assert (torch.cosine_similarity(found, other, dim=1) < 0.95).all()


def test_where_two_hashes_cancel_the_mean_logits_show_nothing_and_the_loss_all() -> None:
    weights = torch.ones(2, 1, PIXELS, dtype=torch.float64)
    weights[1] *= -1  # z and -z: the mean is 0 wherever the image is
    model, point = Flipping(weights).requires_grad_(False), some_images().requires_grad_()
    target = AttackedModel(model)
    assert not gradient(squares(torch.tanh(target.logits(point))), point).any()
    found = gradient(target.expected_loss(squares, point), point)
    u = torch.tanh(some_images().flatten(1).sum(dim=1))
    wanted = 2 * u * (1 - u.square())
    torch.testing.assert_close(found, wanted.view(-1, 1, 1, 1).expand_as(found))


def test_means_of_outputs_and_logits_are_those_of_the_draws() -> None:
    model, images = flipping(3), some_images()
    singles = torch.stack([images.flatten(1) @ weight.T for weight in model.weights])
    target = AttackedModel(model)
    torch.testing.assert_close(target.logits(images), singles.mean(dim=0))
    torch.testing.assert_close(target.outputs(images, 2.0), torch.tanh(2 * singles).mean(dim=0))
    assert torch.equal(target.drawn_logits(images), singles)
    assert torch.equal(target.drawn_codes(images), torch.where(singles >= 0, 1, -1).to(torch.int8))
    assert torch.equal(target.codes(images), target.drawn_codes(images)[2])  # one draw, in turn


def test_a_loss_that_is_linear_in_the_outputs_may_take_their_mean() -> None:
    point, codes = some_images().requires_grad_(), torch.ones(BITS, dtype=torch.float64)

    def agreement(outputs: Tensor) -> Tensor:
        return (outputs * codes).mean(dim=1)

    expected = AttackedModel(flipping(4)).expected_loss(agreement, point)
    mean = agreement(AttackedModel(flipping(4)).outputs(point))
    torch.testing.assert_close(expected, mean)
    torch.testing.assert_close(gradient(expected, point), gradient(mean, point))


@pytest.mark.parametrize("draws", [1, 2, 5])
def test_every_draw_is_a_pass_forward_and_back(draws: int) -> None:
    target, point = AttackedModel(flipping(draws)), some_images().requires_grad_()
    assert target.draws == draws
    loss = target.expected_loss(squares, point)
    gradient(loss, point)
    assert (target.forwards, target.backwards) == (4 * draws, 4 * draws)
    with torch.no_grad():
        target.expected_loss(squares, point)
    target.drawn_logits(some_images())
    target.drawn_codes(some_images())
    target.outputs(some_images())
    assert (target.forwards, target.backwards) == (20 * draws, 4 * draws)
    target.codes(some_images())
    assert target.forwards == 20 * draws + 4
    target.allow(4 * draws - 1)
    with pytest.raises(OutOfPassesError):
        target.expected_loss(squares, point)


def test_draws_are_anew_in_every_step_and_what_is_stepped_on_is_their_mean() -> None:
    # Four hashes, two draws a look: steps see the first two and the last two by turns.
    four = flipping(4)
    model = Flipping(four.weights).requires_grad_(False)
    model.draws = 2
    images, eps = some_images(), Threat(Eps.parse("16/255"))
    descent = AnnealedDescent(3, 0.5, 8.0, 0.5, momentum=0.0)
    found = descent.run(squares, AttackedModel(model), images, eps, scale=2.0, start=images)
    point = images
    for step in range(3):
        slope = torch.zeros(len(images), PIXELS, dtype=torch.float64)
        for weight in four.weights[2 * step % 4 :][:2]:
            a = 0.5 * 16 ** (step / 2) / 2
            u = torch.tanh(a * (point.flatten(1) @ weight.T))
            slope += (2 * a * u * (1 - u.square())) @ weight / 2
        size = 0.5 * eps.radius * (1 + math.cos(math.pi * step / 3)) / 2
        point = eps.project(point - size * slope.sign().view_as(point), images)
    torch.testing.assert_close(found, point)


def test_the_gradient_reaches_what_made_the_images() -> None:
    shift = torch.zeros(1, 3, 4, dtype=torch.float64, requires_grad=True)
    loss = AttackedModel(flipping(3)).expected_loss(squares, 0.5 * (some_images() + shift))
    point = (0.5 * some_images()).requires_grad_()
    plain = gradient(AttackedModel(flipping(3)).expected_loss(squares, point), point)
    torch.testing.assert_close(gradient(loss, shift), 0.5 * plain.sum(dim=0))


def test_each_querys_share_of_a_weighted_sum_is_its_own() -> None:
    point, weights = some_images().requires_grad_(), torch.tensor([1.0, -2, 0, 3]).double()
    plain = gradient(AttackedModel(flipping(3)).expected_loss(squares, point), point)
    loss = AttackedModel(flipping(3)).expected_loss(squares, point)
    torch.testing.assert_close(gradient(loss * weights, point), plain * weights.view(-1, 1, 1, 1))


@pytest.mark.parametrize("draws", [1, 3])
def test_a_loss_of_the_whole_batch_is_refused(draws: int) -> None:
    point = some_images().requires_grad_()
    with pytest.raises(PluginError, match=r"one value per query, \(4,\), but gave \(\)"):
        AttackedModel(flipping(draws)).expected_loss(lambda u: u.mean(), point)


@pytest.mark.parametrize("draws", [1, 3])
def test_a_loss_that_is_cut_off_has_no_gradient_with_draws_or_without(draws: int) -> None:
    point = some_images().requires_grad_()
    loss = expected_loss(draws, lambda images: images.detach().flatten(1).sum(dim=1), point)
    assert not loss.requires_grad
    with pytest.raises(RuntimeError, match="does not require grad"):
        gradient(loss, point)


def test_no_more_than_one_draws_graph_is_kept() -> None:
    alive: list[int] = []
    kept = 0

    class Heavy(torch.autograd.Function):
        """Counts how many of its graphs have not been walked back yet."""

        @staticmethod
        def forward(ctx: object, images: Tensor) -> Tensor:  # noqa: ARG004
            nonlocal kept
            kept += 1
            alive.append(kept)
            return images.clone()

        @staticmethod
        def backward(ctx: object, *above: Tensor) -> Tensor:  # noqa: ARG004
            nonlocal kept
            kept -= 1
            return above[0]

    def loss(images: Tensor) -> Tensor:
        out: Tensor = Heavy.apply(images)
        return out.flatten(1).sum(dim=1)

    expected_loss(6, loss, some_images().requires_grad_())
    assert alive == [1] * 6


Ask = Callable[[AttackedModel, Tensor], Tensor]


@pytest.mark.parametrize(
    ("ask", "literal"),
    [
        (lambda model, x: model.logits(x), lambda z: z),
        (lambda model, x: model.outputs(x, 0.3), lambda z: torch.tanh(0.3 * z)),
        (
            lambda model, x: model.expected_loss(squares, x, 0.3),
            lambda z: squares(torch.tanh(0.3 * z)),
        ),
        (lambda model, x: model.expected_loss_of_logits(squares, x), squares),
        (lambda model, x: model.drawn_logits(x)[0], lambda z: z),
    ],
)
def test_without_draws_all_is_one_pass_to_the_bit(
    ask: Ask, literal: Callable[[Tensor], Tensor]
) -> None:
    model, point = flipping(1), some_images().float().requires_grad_()
    model.weights = model.weights.float()
    found, wanted = ask(AttackedModel(model), point), literal(model.logits(point))
    assert torch.equal(found, wanted)
    assert torch.equal(gradient(found, point), gradient(wanted, point))


def test_a_single_answer_is_handed_on_and_several_are_averaged() -> None:
    answers = iter(torch.tensor([[1.0, -0.0], [2.0, 4.0], [4.0, 0.0]]))
    first = next(answers)
    assert mean_of(1, lambda: first) is first
    assert torch.equal(mean_of(2, lambda: next(answers)), torch.tensor([3.0, 2.0]))


def test_a_candidate_is_judged_by_the_mean_over_its_draws() -> None:
    labels, rows = torch.eye(2)[:1], torch.eye(2)
    known = torch.tensor([[1.0, 1, 1], [-1, -1, -1]])
    ranking = KnownRanking(labels, known, rows)
    near, far = known[:1], known[1:]  # average precision 1 and 1/2
    torch.testing.assert_close(
        ranking.expected_precision(torch.stack([near, far, far, far])),
        torch.tensor([(1 + 3 / 2) / 4]).double(),
    )
    worst, everyone = WorstCase(ranking, torch.zeros(1, 1, 1, 1), far), torch.arange(1)
    worst.consider(everyone, torch.full((1, 1, 1, 1), 0.1), torch.stack([near, far]))
    assert worst.scores.tolist() == [0.75]
    assert worst.unfinished().tolist() == [0], "one draw at the floor is not the floor"
    worst.consider(everyone, torch.full((1, 1, 1, 1), 0.2), torch.stack([near, near]))
    assert worst.images.flatten().tolist() == pytest.approx([0.1])
    worst.consider(everyone, torch.full((1, 1, 1, 1), 0.3), torch.stack([far, far]))
    assert worst.images.flatten().tolist() == pytest.approx([0.3])
    assert len(worst.unfinished()) == 0
