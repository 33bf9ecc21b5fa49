"""random-search and ranked-search: the search itself, its scores, and what the attacks may see."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hashbench import plugins
from hashbench.attacking import (
    Attacker,
    AttackOutcome,
    Eps,
    Known,
    QueryRandom,
    Threat,
    run_attack,
)
from hashbench.attacking.square_search import patch_side, square_search
from hashbench.errors import PluginError, UsageError
from hashbench.hashing import HashModel, InputSpec, encode
from hashbench.plugins import Access, Attack, Backbone
from hashbench.retrieval import average_precision
from support.knowing import known_of

Linear = Callable[..., HashModel]

RandomSearch: Any = importlib.import_module("hashbench.attacks.random_search").RandomSearch
_ranked: Any = importlib.import_module("hashbench.attacks.ranked_search")
RankedSearch: Any = _ranked.RankedSearch
ListOverlap: Any = _ranked.ListOverlap

SHAPES = ((1, 1, 1), (1, 1, 9), (3, 5, 2), (2, 12, 12))
EPS = "8/255"


class Spy:
    """A score that keeps all it was asked for; coarse, so that it ties often."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.weight = torch.randn(shape, generator=generator, dtype=torch.float64)
        self.points: list[Tensor] = []
        self.scores: list[Tensor] = []

    def of(self, images: Tensor) -> Tensor:
        return ((images.double() * self.weight).sum(dim=(1, 2, 3)) * 4).round()

    def __call__(self, images: Tensor) -> Tensor:
        self.points.append(images.clone())
        self.scores.append(self.of(images))
        return self.scores[-1]


def inner_images(count: int, shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Images that the box does not touch for EPS."""
    generator = torch.Generator().manual_seed(seed)
    return 0.1 + 0.8 * torch.rand((count, *shape), generator=generator)


def search(
    spy: Spy, images: Tensor, candidates: int, *, seed: int = 0, share: float = 0.8, eps: str = EPS
) -> Tensor:
    return square_search(
        spy,
        images,
        Threat(Eps.parse(eps)),
        QueryRandom([seed + query for query in range(len(images))]),
        clean_score=spy.of(images),
        candidates=candidates,
        first_share=share,
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_the_answer_is_the_best_point_that_was_tried(shape: tuple[int, ...]) -> None:
    images, spy = inner_images(6, shape), Spy(shape)
    answer = search(spy, images, 60)
    assert [len(points) for points in spy.points] == [6] * 60
    tried = torch.stack([spy.of(images), *spy.scores])
    assert torch.equal(spy.of(answer), tried.amin(dim=0))
    # Of equally good points the last one: there is no plateau to be stuck on.
    points = torch.stack([images, *spy.points])
    for query in range(6):
        best = (tried[:, query] == tried[:, query].min()).nonzero().max()
        assert torch.equal(answer[query], points[best, query])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_longer_search_goes_on_where_a_shorter_one_ends(shape: tuple[int, ...]) -> None:
    images = inner_images(3, shape)
    spies = {count: Spy(shape) for count in (1, 2, 13, 40)}
    scores = [spies[40].of(images)]
    for count, spy in spies.items():
        scores.append(spy.of(search(spy, images, count)))
        for one, other in zip(spy.points, spies[count].points, strict=True):
            assert torch.equal(one, other)
    for shorter, longer in ((1, 2), (2, 13), (13, 40)):
        for one, other in zip(spies[shorter].points, spies[longer].points, strict=False):
            assert torch.equal(one, other)
    assert all((later <= earlier).all() for earlier, later in pairwise(scores))


def test_no_candidate_and_no_radius_give_the_images_back() -> None:
    images = inner_images(4, (2, 5, 5))
    assert torch.equal(search(Spy((2, 5, 5)), images, 0), images)
    assert torch.equal(search(Spy((2, 5, 5)), images, 30, eps="0"), images)


@pytest.mark.parametrize("shape", SHAPES)
def test_first_stripes_then_squares_of_one_sign_per_channel(shape: tuple[int, ...]) -> None:
    channels, height, width = shape
    images, spy = inner_images(5, shape, seed=1), Spy(shape)
    search(spy, images, 80)
    radius = float(Eps.parse(EPS))
    signs = (spy.points[0] - images) / radius
    assert torch.allclose(signs.abs(), torch.ones_like(signs), atol=1e-5)
    assert torch.allclose(signs, signs[:, :, :1].expand_as(signs), atol=1e-5)
    best, best_score = images, spy.of(images)
    for number, (point, score) in enumerate(zip(spy.points, spy.scores, strict=True)):
        if number:
            side = patch_side(number - 1, 0.8, height, width)
            for query in range(5):
                change = point[query] != best[query]
                rows, columns = change.any(dim=0).any(dim=1), change.any(dim=0).any(dim=0)
                # Something changes, inside a square, and ends at one side of the ball per channel.
                assert 1 <= _extent(rows) <= side
                assert 1 <= _extent(columns) <= side
                for channel in range(channels):
                    moved = (point[query, channel] - images[query, channel])[change[channel]]
                    assert (moved > 0).all() or (moved < 0).all()
                    assert torch.allclose(moved.abs(), torch.tensor(radius), atol=1e-6)
        taken = (score <= best_score).view(-1, 1, 1, 1)
        best = torch.where(taken, point, best)
        best_score = torch.minimum(score, best_score)


def test_squares_lie_anywhere_last_row_and_column_included() -> None:
    images, spy = inner_images(200, (1, 4, 6)), Spy((1, 4, 6))
    spy.weight.zero_()  # all points tie, so every patch is taken
    search(spy, images, 3, share=1 / 24)
    last, before = spy.points[2], spy.points[1]
    touched = (last != before).any(dim=1)
    assert (touched.sum(dim=(1, 2)) == 1).all()
    assert touched.any(dim=0).all()


def _extent(flags: Tensor) -> int:
    places = flags.nonzero()
    return int(places.max() - places.min()) + 1 if len(places) else 0


@pytest.mark.parametrize(
    ("number", "p"),
    [
        *((0, 0.8), (10, 0.8), (11, 0.4), (50, 0.4), (51, 0.2), (200, 0.2), (201, 0.1)),
        *((501, 0.05), (1000, 0.05), (1001, 0.025), (2001, 0.0125), (4001, 0.00625)),
        (8001, 0.8 / 512),
    ],
)
def test_the_published_schedule(number: int, p: float) -> None:
    assert patch_side(number, 0.8, 32, 32) == max(1, round((p * 32 * 32) ** 0.5))
    assert patch_side(number, 0.8, 224, 100) == max(1, round((p * 22400) ** 0.5))


@pytest.mark.parametrize("attack", [RandomSearch, RankedSearch])
def test_settings_that_no_search_can_have_are_refused(attack: Any) -> None:
    for wrong in ({"queries": -1}, {"first_share": 0.0}, {"first_share": float("nan")}):
        with pytest.raises(UsageError, match=next(iter(wrong))):
            attack(**wrong)
    with pytest.raises(UsageError, match="length"):
        RankedSearch(length=0)


# On a linear hash.


def one_bit_case(
    seed: int, queries: int
) -> tuple[Tensor, Tensor, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Weight, bias, pixels and each query's smallest flipping radius, for images of 2 x 2."""
    rng = np.random.default_rng(seed)
    weight = rng.uniform(0.5, 1.0, 4) * rng.choice([-1.0, 1.0], 4)
    pixels = rng.integers(80, 176, (queries, 1, 2, 2), dtype=np.uint8)
    bias = -weight.sum() / 2 + 0.05 * rng.choice([-1.0, 1.0])
    logits = pixels.reshape(queries, -1) / 255 @ weight + bias
    thresholds = np.abs(logits) / np.abs(weight).sum()
    return (
        torch.from_numpy(weight).float().view(1, 1, 2, 2),
        torch.tensor([bias]).float(),
        pixels,
        thresholds,
    )


def run(
    attack: Attack, model: HashModel, pixels: Any, attacker: Attacker, eps: float, batch: int = 64
) -> AttackOutcome:
    seeds = [500 + query for query in range(len(pixels))]
    return run_attack(attack, model, pixels, attacker, Threat(Eps.parse(eps)), seeds, batch=batch)


@pytest.mark.parametrize("name", ["random-search", "ranked-search"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_bit_flips_at_1_3_times_its_threshold_and_never_below(
    name: str, seed: int, linear_hash: Linear
) -> None:
    weight, bias, pixels, thresholds = one_bit_case(seed, queries=30)
    model = linear_hash(weight, bias)
    codes = encode(model, pixels).codes
    labels = np.stack([codes[:, 0] > 0, codes[:, 0] < 0], axis=1).astype(np.uint8)
    ends = np.array([[1], [-1]] * 10, dtype=np.int8)
    known = Known.of(labels, codes, ends, np.eye(2, dtype=np.uint8)[[0, 1] * 10])
    attacker = Attacker(known, database_codes=known.train_codes)
    attack = (
        RandomSearch(queries=400)
        if name == "random-search"
        else RankedSearch(queries=400, length=10)
    )
    tried = [float(t) for t in thresholds if 0.01 < t < 0.2][:8]
    assert len(tried) == 8
    for threshold in tried:
        query = int(np.flatnonzero(thresholds == threshold)[0])
        above = run(attack, model, pixels, attacker, 1.3 * threshold).codes
        assert above[query] == -codes[query]
        below = run(attack, model, pixels, attacker, 0.985 * threshold).codes
        assert np.array_equal(below[thresholds >= threshold], codes[thresholds >= threshold])


# On a network.


class Scene:
    def __init__(self, queries: int) -> None:
        torch.manual_seed(0)
        backbone = plugins.get("backbone", "small-cnn", width=4, hidden=16)
        assert isinstance(backbone, Backbone)
        model = HashModel(backbone.build(InputSpec(1, 12, 12, (0.4,), (0.3,))), 12).train()
        with torch.no_grad():
            for _ in range(20):
                model(torch.rand(64, 1, 12, 12))
        self.model = model.eval()
        rng = np.random.default_rng(5)
        wide = rng.integers(-60, 316, (queries + 90, 1, 12, 12))
        images = np.clip(wide, 0, 255).astype(np.uint8)
        self.pixels, train, database = np.split(images, [queries, queries + 30])
        labels = np.eye(3, dtype=np.uint8)
        self.labels, train_labels = labels[np.arange(queries) % 3], labels[np.arange(30) % 3]
        codes = encode(self.model, train).codes
        self.attacker = Attacker(
            known_of(self.labels, codes, train_labels),
            database_codes=torch.from_numpy(encode(self.model, database).codes).float(),
        )

    def run(self, attack: Attack, eps: str = "40/255", batch: int = 64) -> AttackOutcome:
        seeds = [7000 + query for query in range(len(self.pixels))]
        return run_attack(
            attack,
            self.model,
            self.pixels,
            self.attacker,
            Threat(Eps.parse(eps)),
            seeds,
            batch=batch,
        )

    def known_precision(self, codes: Any) -> Any:
        known = self.attacker.known
        return average_precision(codes, known.train_codes, self.labels, known.train_labels)

    def lists(self, codes: Any, length: int) -> Tensor:
        """The ranked lists of some codes, ties in the database's order, by a stable sort."""
        assert self.attacker.database_codes is not None
        distances = 12 - codes.astype(int) @ self.attacker.database_codes.numpy().astype(int).T
        return torch.from_numpy(np.argsort(distances, axis=1, kind="stable")[:, :length])


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(queries=21)


@pytest.mark.parametrize("queries", [0, 1, 2, 37])
@pytest.mark.parametrize("attack", [RandomSearch, RankedSearch])
def test_the_model_is_asked_as_often_as_it_says_and_for_no_gradient(
    attack: Any, queries: int, scene: Scene
) -> None:
    plugin = attack(queries=queries)
    outcome = scene.run(plugin, batch=8)
    assert plugin.passes() == queries
    assert outcome.forwards == queries * 21
    assert outcome.backwards == 0
    if queries <= 1:
        assert not outcome.linf.any()


def test_each_sees_no_more_than_its_card_says(scene: Scene) -> None:
    assert RandomSearch.card.access is Access.CODES
    assert RankedSearch.card.access is Access.RANKING
    assert not RankedSearch.card.knowledge

    class Greedy(Attack):
        """Asks for more."""

        def __init__(self, card: Any, more: str) -> None:
            self.card = card  # type: ignore[misc]  # plays the attack's part
            self.more = more

        def perturb(self, model: Any, images: Tensor, *_: Any) -> Tensor:
            getattr(model, self.more)(images)
            return images

    # The harness holds them to it: both ran above under the very cards that stop these.
    for card, more in (
        (RandomSearch.card, "outputs"),
        (RandomSearch.card, "logits"),
        (RankedSearch.card, "codes"),
        (RankedSearch.card, "outputs"),
    ):
        with pytest.raises(PluginError, match="asks for the model's"):
            scene.run(Greedy(card, more))


def test_ranked_search_knows_no_label_and_no_training_code(scene: Scene) -> None:
    plugin = RankedSearch(queries=30, length=20)
    found = scene.run(plugin).codes
    other = Scene(queries=21)
    other.attacker = other.attacker.knowing(
        lambda known: replace(
            known,
            labels=1 - known.labels,
            center_codes=-known.center_codes,
            train_codes=-known.train_codes,
        )
    )
    assert np.array_equal(other.run(plugin).codes, found)


def test_random_search_never_gets_worse_and_gets_better(scene: Scene) -> None:
    clean = scene.known_precision(encode(scene.model, scene.pixels).codes)
    scores = [clean]
    for queries in (1, 2, 20, 60, 150):
        scores.append(scene.known_precision(scene.run(RandomSearch(queries=queries)).codes))
        assert (scores[-1] <= scores[-2] + 1e-12).all()
    assert np.array_equal(scores[1], clean)
    assert scores[-1].mean() < clean.mean() - 0.05


def test_ranked_search_pushes_what_the_clean_list_held_out_of_the_list(scene: Scene) -> None:
    clean = scene.lists(encode(scene.model, scene.pixels).codes, 15)
    overlap = ListOverlap(clean)
    scores = [overlap(clean)]
    for queries in (1, 2, 20, 60, 150):
        codes = scene.run(RankedSearch(queries=queries, length=15)).codes
        scores.append(overlap(scene.lists(codes, 15)))
        assert (scores[-1] <= scores[-2]).all()
    assert torch.equal(scores[1], scores[0])
    assert scores[-1].double().mean() < 0.7 * scores[0].double().mean()


@pytest.mark.parametrize("batch", [1, 4, 20])
@pytest.mark.parametrize("attack", [RandomSearch, RankedSearch])
def test_a_querys_codes_do_not_depend_on_its_batch(attack: Any, batch: int, scene: Scene) -> None:
    plugin = attack(queries=40)
    whole, split = scene.run(plugin), scene.run(plugin, batch=batch)
    assert np.array_equal(whole.codes, split.codes)
    assert np.array_equal(whole.linf, split.linf)
    assert np.array_equal(whole.l2, split.l2)
    assert whole.forwards == split.forwards


@pytest.mark.parametrize("attack", [RandomSearch, RankedSearch])
def test_eps_0_gives_the_clean_codes(attack: Any, scene: Scene) -> None:
    outcome = scene.run(attack(queries=12), eps="0")
    assert np.array_equal(outcome.codes, encode(scene.model, scene.pixels).codes)
    assert not outcome.linf.any()


# The overlap of lists.


@given(st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_the_overlap_is_the_sum_over_common_items(length: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    lists = np.stack([rng.permutation(20)[:length] for _ in range(6)])
    first, second = lists[:3], lists[3:]
    found = ListOverlap(torch.from_numpy(first))(torch.from_numpy(second))
    for row in range(3):
        ranks = {item: rank for rank, item in enumerate(second[row].tolist())}
        expected = sum(
            (length - rank) * (length - ranks[item])
            for rank, item in enumerate(first[row].tolist())
            if item in ranks
        )
        assert int(found[row]) == expected


@given(st.integers(1, 10), st.integers(0, 2**32 - 1))
def test_no_list_overlaps_more_than_the_same_one(length: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = torch.from_numpy(rng.permutation(12)[:length])[None]
    second = torch.from_numpy(rng.permutation(12)[:length])[None]
    overlap = ListOverlap(first)
    most = length * (length + 1) * (2 * length + 1) // 6
    assert int(overlap(first)) == most
    # Sums of products are largest for equal order alone (rearrangement inequality).
    assert (int(overlap(second)) == most) == torch.equal(first, second)
    assert int(overlap(first + 12)) == 0
