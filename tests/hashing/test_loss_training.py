"""Each loss trains a small network on a small part of the shipped data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from hashbench import plugins
from hashbench.data import RetrievalData
from hashbench.hashing import BoundLoss, HashModel, InputSpec, Recipe, encode, train
from hashbench.hashing.trainer import PlainObjective, random_orders
from hashbench.plugins import Backbone, Dataset
from hashbench.retrieval import mean_average_precision

Bind = Callable[..., BoundLoss]

BITS, EPOCHS = 16, 12


@pytest.fixture(scope="module")
def fashion() -> RetrievalData:
    dataset = plugins.get("dataset", "fashion")
    assert isinstance(dataset, Dataset)
    return dataset.load(None)


def clean_map(spec: str, data: RetrievalData, bound: Bind) -> float:
    """After 12 epochs on every third train image, of 400 queries in 400 database images."""
    backbone = plugins.get("backbone", "small-cnn")
    assert isinstance(backbone, Backbone)
    keep = np.arange(0, len(data.train), 3)
    images, labels = data.train.images[keep], data.train.labels[keep]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = HashModel(backbone.build(InputSpec.of(data.train)), BITS)
        loss = bound(spec, torch.from_numpy(labels).float(), BITS)
        orders = random_orders(len(images), EPOCHS, seed=0)
        train(model, PlainObjective(model, loss), Recipe(EPOCHS), images, labels, orders)
    few = np.arange(400)
    queries, database = (encode(model, part.images[few]) for part in (data.query, data.database))
    return mean_average_precision(
        queries.codes, database.codes, data.query.labels[few], data.database.labels[few]
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spec", "least"),
    [
        # What trains from scratch, and by how much: chance is 11 % of these 400 images.
        ("csq", 0.45),
        ("dch", 0.45),
        ("greedyhash", 0.45),
        ("ortho", 0.45),
        ("dpn", 0.4),
        ("hashnet@saat", 0.35),
        ("dsh@paper", 0.3),
        ("hashnet", 0.22),
        ("hashnet@deephash", 0.22),
        ("dpsh", 0.15),
        ("dsdh", 0.15),
        ("dph", 0.15),
    ],
)
def test_every_loss_trains_a_small_network_from_scratch(
    spec: str, least: float, fashion: RetrievalData, bound: Bind
) -> None:
    reached = clean_map(spec, fashion, bound)
    print(f"{spec}: clean mAP {100 * reached:.1f} %")  # noqa: T201 - shown with pytest -s
    assert reached > least
