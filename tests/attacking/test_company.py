"""Who depends on the company: each leak is told from an honest model, or attack, by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hashbench import plugins
from hashbench.attacking import Attacker, Eps, Known, Threat
from hashbench.attacking.company import ASKED, ROUNDING, dependent_share, spread
from hashbench.attacking.repeated import dependent_answers
from hashbench.defending import WrappedModel
from hashbench.hashing import BackboneNet, HashModel, InputSpec, LossSetup, encode
from hashbench.plugins import Attack, WrappingDefense
from hashbench.results.flags import DEPENDENT_ANSWERS, DEPENDENT_SHARE
from support import leaky

QUERIES, BITS = 150, 16
SHAPE = (3, 16, 16)


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    with leaky.cleaned():
        yield


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    """Smooth images of different brightness."""
    rng = np.random.default_rng(4)
    coarse = torch.from_numpy(rng.random((QUERIES, 3, 4, 4)))
    fine = nn.functional.interpolate(coarse, SHAPE[1:], mode="bilinear")
    return (255 * fine).round().to(torch.uint8).numpy()


def built(backbone: Any) -> HashModel:
    spec = InputSpec(*SHAPE, mean=(0.5,) * 3, std=(0.2,) * 3)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return HashModel(backbone.build(spec), BITS).eval()


def small_cnn() -> HashModel:
    return built(plugins.get("backbone", "small-cnn:width=8,hidden=32"))


def share(model: HashModel, pixels: NDArray[np.uint8]) -> float:
    """As the probe asks for it: of the model whose codes were made before."""
    torch.manual_seed(9)
    codes = encode(model, pixels).codes
    before = torch.get_rng_state()
    found = dependent_share(model, pixels, codes)
    assert torch.equal(torch.get_rng_state(), before)  # nobody's draws change
    return found


def named(defense: Any) -> HashModel:
    found = plugins.get("defense", defense) if isinstance(defense, str) else defense
    assert isinstance(found, WrappingDefense)
    return found.wrap(small_cnn())


HONEST = ("none", "jpeg", "bit-depth", "resize-pad", "control-random", "control-quantised")


@pytest.mark.parametrize("defense", HONEST)
def test_an_honest_model_does_not_depend_on_the_company(
    defense: str, pixels: NDArray[np.uint8]
) -> None:
    model = small_cnn() if defense == "none" else named(defense).eval()
    assert share(model, pixels) == 0


@pytest.mark.parametrize(
    "defense",
    [
        leaky.BatchCentred(),
        leaky.Recollects(),
        leaky.ByPlace(),
        leaky.BySize(),
        leaky.DrawsAndNormalises(),
    ],
)
def test_a_wrapper_that_looks_at_the_batch_or_at_earlier_ones_is_seen(
    defense: WrappingDefense, pixels: NDArray[np.uint8]
) -> None:
    assert share(named(defense).eval(), pixels) > 10 * DEPENDENT_SHARE


def test_a_backbone_with_the_statistics_of_the_batch_is_seen(pixels: NDArray[np.uint8]) -> None:
    assert share(built(leaky.BatchStats()), pixels) > 10 * DEPENDENT_SHARE


@pytest.mark.parametrize("few", [2, 3, 9])
def test_a_few_queries_are_enough(few: int, pixels: NDArray[np.uint8]) -> None:
    assert share(built(leaky.BatchStats()), pixels[:few]) > 10 * DEPENDENT_SHARE
    assert share(small_cnn(), pixels[:few]) == 0


def test_one_query_is_told_from_strangers(pixels: NDArray[np.uint8]) -> None:
    assert share(small_cnn(), pixels[:1]) == 0
    assert share(named(leaky.BatchCentred()).eval(), pixels[:1]) == 1


@pytest.mark.parametrize("loss", [leaky.Remembering(), leaky.Hooking(), leaky.Patching()])
def test_what_a_loss_left_in_the_process_is_seen(loss: Any, pixels: NDArray[np.uint8]) -> None:
    model = built(leaky.Recalling())
    assert share(model, pixels) == 0
    setup = LossSetup(torch.eye(4), BITS, torch.Generator())
    loss.bind(setup)
    assert share(model, pixels) > 10 * DEPENDENT_SHARE


class Rounded(HashModel):
    """Every logit is moved by a share of its size, which depends on the batch."""

    share = 0.0

    def logits(self, images: Tensor) -> Tensor:
        found = super().logits(images)
        size = found.square().mean().sqrt()
        sign = torch.where(torch.arange(found.shape[1]) % 2 == len(images) % 2, 1.0, -1.0)
        return found + sign * self.share * size


def test_what_rounding_could_do_is_no_evidence_and_what_is_more_is(
    pixels: NDArray[np.uint8],
) -> None:
    """A logit moves by 2 * share between two sizes of batches; below ROUNDING it may turn."""
    base = small_cnn()
    model = Rounded(
        BackboneNet(base.backbone, base.hash_layer.in_features, (0.5,) * 3, (0.2,) * 3), BITS
    )
    model.load_state_dict(base.state_dict())
    # Centred, so that many outputs lie near 0 and do turn.
    logits = base.logits(torch.from_numpy(pixels).float() / 255).detach()
    with torch.no_grad():
        model.hash_layer.bias.sub_(logits.median(dim=0).values)
    model.eval().share = 0.4 * ROUNDING
    assert share(model, pixels) == 0
    model.share = 100 * ROUNDING
    assert share(model, pixels) > DEPENDENT_SHARE


def test_those_that_are_asked_are_spread_evenly() -> None:
    assert spread(4, 100).tolist() == [0, 25, 50, 75]
    assert spread(ASKED, 5).tolist() == [0, 1, 2, 3, 4]


# Attacks.


def answers(
    attack: Attack, model: HashModel, pixels: NDArray[np.uint8], eps: str = "8/255"
) -> float:
    codes = encode(model, pixels).codes
    labels = np.eye(4, dtype=np.uint8)[np.arange(len(pixels)) % 4]
    attacker = Attacker(Known.of(labels, codes, codes, labels, labels[::-1].copy()))
    seeds = range(len(pixels))
    found = dependent_answers(attack, model, pixels, attacker, Threat(Eps.parse(eps)), seeds)
    assert found is not None
    return found


BUILT_IN = (
    "noise",
    "hag:steps=10",
    "sdha:steps=10",
    "pgd-hamming:steps=10",
    "pgd-hamming:steps=10,rule=vmi,samples=2",
    "smooth-ap:steps=10",
    "random-search",
    "mainstay:steps=10",
    "p2p:steps=10",
)


@pytest.mark.parametrize("spec", BUILT_IN)
def test_built_in_attacks_answer_each_query_by_itself(spec: str, pixels: NDArray[np.uint8]) -> None:
    attack = plugins.get("attack", spec)
    assert isinstance(attack, Attack)
    assert answers(attack, small_cnn(), pixels) == 0


def test_an_honest_attack_at_a_model_that_draws_is_no_leak(pixels: NDArray[np.uint8]) -> None:
    assert answers(leaky.Honest(), named("resize-pad").eval(), pixels) == 0
    assert answers(leaky.Together(), named("resize-pad").eval(), pixels) > DEPENDENT_ANSWERS


@pytest.mark.parametrize(
    "attack",
    [
        leaky.Together(),
        leaky.ScaledByBatch(),
        leaky.Averaged(),
        leaky.WarmStart(),
        leaky.Tiring(),
    ],
)
def test_an_attack_with_a_state_of_its_own_is_seen(
    attack: Attack, pixels: NDArray[np.uint8]
) -> None:
    assert answers(attack, small_cnn(), pixels) > DEPENDENT_ANSWERS


def test_a_change_that_was_made_for_another_query_is_seen_by_the_codes(
    pixels: NDArray[np.uint8],
) -> None:
    """In the same places of as large a batch it is the same; alone it turns other bits."""
    assert answers(leaky.Cached(), small_cnn(), pixels, "64/255") > DEPENDENT_ANSWERS
    assert answers(leaky.Honest(), small_cnn(), pixels, "64/255") == 0


def test_the_honest_one_of_the_same_kind_is_not(pixels: NDArray[np.uint8]) -> None:
    assert answers(leaky.Honest(), small_cnn(), pixels) == 0
    assert answers(leaky.Honest(), small_cnn(), pixels, eps="0") == 0


@pytest.mark.parametrize(("most", "sizes"), [(7, [13, 7]), (3, [13, 7, 3]), (2, [13, 7, 3])])
def test_fewer_are_attacked_again_where_memory_runs_out(
    most: int, sizes: list[int], pixels: NDArray[np.uint8]
) -> None:
    """Two others stand around a single one; where not even three have room, nothing is known."""
    asked: list[int] = []

    class Full(WrappedModel):
        def logits(self, images: Tensor) -> Tensor:
            if images.requires_grad:
                if len(images) not in asked:
                    asked.append(len(images))
                if len(images) > most:
                    raise torch.OutOfMemoryError("the device is full")
            return self.base.logits(images)

    model = Full(small_cnn()).eval()
    codes = encode(model, pixels).codes
    labels = np.eye(4, dtype=np.uint8)[np.arange(len(pixels)) % 4]
    attacker = Attacker(Known.of(labels, codes, codes, labels))
    threat, seeds = Threat(Eps.parse("8/255")), range(len(pixels))
    found = dependent_answers(leaky.Honest(), model, pixels, attacker, threat, seeds)
    assert found == (None if most < 3 else 0)
    assert asked[: len(sizes)] == sizes
