"""A script that runs an experiment and reads what came of it."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import TensorDataset

import hashbench
from hashbench import Eps, HashbenchError, Results, Suite, UsageError

suite = hashbench.load_suite("quick")
assert_type(suite, Suite)
assert_type(hashbench.Eps.parse("8/255"), Eps)


def measured(out: Path) -> Results:
    """The quick suite."""
    try:
        return hashbench.run(suite, out=out, workers=2)
    except UsageError as error:
        assert_type(error, UsageError)
        raise
    except hashbench.HashbenchError as error:
        assert_type(error, HashbenchError)
        return hashbench.load_results(out)


results = measured(Path("results"))
assert_type(hashbench.run("quick"), Results)
assert_type(hashbench.run(), Results)
assert_type(hashbench.run({"defense": "cgat"}, out="results"), Results)
assert_type(
    hashbench.run(
        defense=["none", "cgat"], attack="hag:steps=20", eps=8 / 255, training={"epochs": 2}
    ),
    Results,
)
assert_type(hashbench.load_results("results"), Results)
assert_type(results.leaderboard(), pd.DataFrame)
assert_type(hashbench.__version__, str)
assert_type(results.to_frame(), pd.DataFrame)
for result in results.failed:
    assert_type(result, hashbench.results.CellResult)
    assert_type(result.cell, hashbench.results.Cell)
    assert_type(result.cell.attack, str)
    assert_type(result.status, hashbench.results.Status)

# A model of one's own, on arrays, tensors and data sets of torch.
net = nn.Sequential(nn.Conv2d(3, 8, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(128, 16))
images = np.zeros((40, 3, 16, 16), np.uint8)
labels = np.arange(40) % 4
held = TensorDataset(torch.zeros(10, 3, 16, 16), torch.zeros(10, dtype=torch.int64))
data = {"train": (images, labels), "query": held, "database": (images, labels)}
assert_type(hashbench.data.as_retrieval_data(data), hashbench.data.RetrievalData)
assert_type(hashbench.evaluate(net, data), Results)
assert_type(
    hashbench.evaluate(
        net, data, attacks=["auto"], eps="8/255", mean=(0.5, 0.5, 0.5), std=0.2, out=Path("mine")
    ),
    Results,
)
assert_type(hashbench.evaluate(net, "fashion", "noise", progress=False), Results)


class Log(hashbench.Reporter):
    """Keeps what took how long."""
