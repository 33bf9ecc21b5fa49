"""Controls: each looks robust for the one bad reason that it is there for, and for no other."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from hashbench import plugins
from hashbench.attacking.attacker import Attacker
from hashbench.attacking.goal import Known
from hashbench.attacking.harness import AttackOutcome, run_attack
from hashbench.attacking.threat import Threat
from hashbench.data import ImageSet, RetrievalData
from hashbench.eps import Eps
from hashbench.errors import UsageError
from hashbench.hashing import CounterRandom, HashModel, encode
from hashbench.hashing.encode import encode_splits
from hashbench.plugins import Attack, Dataset, WrappingDefense
from hashbench.retrieval import chance_level, mean_average_precision

Build = Callable[..., HashModel]

CONTROLS = ["scaled", "random", "quantised", "collapsed", "order"]


def control(spec: str) -> WrappingDefense:
    found = plugins.get("defense", f"control-{spec}")
    assert isinstance(found, WrappingDefense)
    return found


@pytest.fixture
def base(small_model: Build) -> HashModel:
    """Logits of a trained model's size: a thousandfold leaves few near 0."""
    model = small_model()
    with torch.no_grad():
        model.hash_layer.weight.mul_(20)
    return model


def tensor_of(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels).float() / 255


def attacked(
    attack: str, model: HashModel, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> AttackOutcome:
    plugin = plugins.get("attack", attack)
    assert isinstance(plugin, Attack)
    codes = encode(model, pixels).codes
    centers = np.tile(np.array([1, -1, 1, -1, 1, -1], dtype=np.int8), (len(pixels), 1))
    attacker = Attacker(Known.of(labels, centers, codes, labels))
    threat, seeds = Threat(Eps.parse("24/255")), range(len(pixels))
    return run_attack(plugin, model, pixels, attacker, threat, seeds, batch=7)


@pytest.mark.parametrize("name", CONTROLS)
@pytest.mark.parametrize("attack", ["noise", "pgd-hamming:steps=3"])
def test_attacks_run_through_every_control(
    name: str,
    attack: str,
    base: HashModel,
    pixels: NDArray[np.uint8],
    labels: NDArray[np.uint8],
) -> None:
    before = {key: value.clone() for key, value in base.state_dict().items()}
    outcome = attacked(attack, control(name).wrap(base), pixels, labels)
    assert outcome.codes.shape == (20, base.bits)
    assert set(np.unique(outcome.codes)) <= {-1, 1}
    assert outcome.linf.max() <= 24 / 255 + 1e-6
    assert all(torch.equal(value, before[key]) for key, value in base.state_dict().items())


def test_the_base_model_has_gradients_that_a_control_can_take_away(
    base: HashModel, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    """Of all flags that controls are for, the model under them raises none."""
    outcome = attacked("pgd-hamming:steps=3", base, pixels, labels)
    assert outcome.zero_gradients == 0
    assert outcome.saturated < 0.2
    codes = encode(base, pixels).codes
    assert np.array_equal(codes, encode(base, pixels).codes)
    assert len(np.unique(codes, axis=0)) > 5


def test_scaled_logits_saturate_and_leave_no_gradient_and_the_same_codes(
    base: HashModel, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    model, images = control("scaled").wrap(base), tensor_of(pixels)
    assert torch.equal(model.logits(images), 1000 * base.logits(images))
    assert torch.equal(model.codes(images), base.codes(images))
    outcome = attacked("pgd-hamming:steps=3", model, pixels, labels)
    # Exactly the queries whose every output is 1 in float32 have none.
    silent = (model.outputs(images).abs() == 1).all(dim=1).float().mean()
    assert outcome.zero_gradients == pytest.approx(float(silent))
    assert silent > 0.7
    assert outcome.saturated > 0.95
    # In the logits the gradient is as good as ever: what an attack has to find out.
    point = images.requires_grad_()
    (gradient,) = torch.autograd.grad(model.logits(point).sum(), point)
    assert bool((gradient.flatten(1).abs().amax(dim=1) > 0).all())


def test_random_codes_differ_from_pass_to_pass(
    base: HashModel, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    model = control("random").wrap(base)
    assert model.draws == 1  # it keeps its draws to itself
    torch.manual_seed(0)
    first, second = encode(model, pixels).codes, encode(model, pixels).codes
    assert (first != second).any(axis=1).mean() > 0.5
    torch.manual_seed(0)
    assert np.array_equal(encode(model, pixels).codes, first)
    torch.manual_seed(0)
    noise = 0.3 * CounterRandom.drawn_from(None).normal((20, 1, 4, 4))[0]
    torch.manual_seed(0)
    images = tensor_of(pixels)
    assert torch.equal(model.logits(images), base.logits(images + noise))
    assert attacked("pgd-hamming:steps=3", model, pixels, labels).zero_gradients == 0


def test_quantised_inputs_have_a_gradient_and_it_is_0(
    base: HashModel, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    model, point = control("quantised").wrap(base), tensor_of(pixels).requires_grad_()
    logits = model.logits(point)
    nearest = (point[..., None] - torch.arange(4) / 3).abs().argmin(dim=-1) / 3
    torch.testing.assert_close(logits, base.logits(nearest))
    (gradient,) = torch.autograd.grad(logits.sum(), point)
    assert not gradient.any()
    outcome = attacked("pgd-hamming:steps=3", model, pixels, labels)
    assert outcome.zero_gradients == 1
    assert outcome.saturated < 0.2


def test_collapsed_codes_are_one_and_lie_at_chance_in_spite_of_their_gradients(
    base: HashModel, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    model, images = control("collapsed:share=0.01").wrap(base), tensor_of(pixels)
    pattern = torch.tensor([1.0, -1, 1, -1, 1, -1])
    assert torch.equal(model.logits(images), 0.01 * base.logits(images) + pattern)
    codes = encode(model, pixels).codes
    assert np.unique(codes, axis=0).tolist() == [[1, -1, 1, -1, 1, -1]]
    outcome = attacked("pgd-hamming:steps=3", model, pixels, labels)
    assert outcome.zero_gradients == 0
    assert outcome.saturated == 0
    found = mean_average_precision(outcome.codes, codes, labels, labels)
    assert found == pytest.approx(chance_level(labels, labels), abs=1e-12)
    # The model's own logits are still in there: with a larger share its codes come through.
    assert len(np.unique(encode(control("collapsed:share=1").wrap(base), pixels).codes, axis=0)) > 2


@pytest.fixture(scope="module")
def fashion() -> RetrievalData:
    found = plugins.get("dataset", "fashion")
    assert isinstance(found, Dataset)
    data = found.load(None)

    def black(part: ImageSet) -> ImageSet:
        return ImageSet(np.zeros((len(part), 1, 4, 4), dtype=np.uint8), part.labels)

    return RetrievalData(data.classes, black(data.train), black(data.query), black(data.database))


def test_answers_in_order_are_perfect_whatever_the_images_show(
    base: HashModel, fashion: RetrievalData
) -> None:
    """Black images alone, asked for as the runner does; and once more, as a naive benchmark."""
    model = control("order").wrap(base)
    codes = encode_splits(model, fashion)
    rule = codes["database"], fashion.query.labels, fashion.database.labels
    assert mean_average_precision(codes["query"], *rule) == 1
    encode(model, fashion.train.images)
    assert np.array_equal(encode(model, fashion.query.images).codes, codes["query"])
    # One pass more, and the answers are out of step.
    again = encode(model, fashion.query.images).codes
    assert (again != codes["query"]).any(axis=1).mean() > 0.5
    assert mean_average_precision(again, *rule) < 0.3
    # So they are from the start of an attack, which gets a model of its own.
    fresh = encode(control("order").wrap(base), fashion.query.images).codes
    assert np.array_equal(fresh, codes["train"][:500])


def test_answers_in_order_depend_on_no_batch_and_on_no_pixel(
    base: HashModel, pixels: NDArray[np.uint8], labels: NDArray[np.uint8]
) -> None:
    images = tensor_of(pixels)
    whole, parts = control("order").wrap(base), control("order").wrap(base)
    logits = whole.logits(images)
    assert torch.equal(logits, torch.cat([parts.logits(part) for part in images.flip(0).split(3)]))
    point = images.requires_grad_()
    (gradient,) = torch.autograd.grad(whole.logits(point).sum(), point)
    assert not gradient.any()
    assert attacked("pgd-hamming:steps=3", whole, pixels, labels).zero_gradients == 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("scaled:scale=0", "scale must be above 0, found 0"),
        ("random:deviation=-1", "deviation must be 0 or more, found -1"),
        ("quantised:levels=1", "levels must be 2 or more, found 1"),
    ],
)
def test_wrong_parameters_are_refused(spec: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        control(spec)


def test_an_unknown_data_set_is_refused(base: HashModel) -> None:
    with pytest.raises(UsageError, match="fashionn"):
        control("order:dataset=fashionn").wrap(base)


def test_a_control_says_in_its_summary_what_it_is() -> None:
    for name in CONTROLS:
        assert control(name).card.summary.startswith("Control: ")
        assert "Raises " in control(name).card.summary
