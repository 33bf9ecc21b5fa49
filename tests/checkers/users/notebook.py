"""The cells of a notebook, as an editor hands them to its checker."""

# %%
from pathlib import Path
from typing import assert_type

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

import hashbench
from hashbench import attacking, hashing, plugins, retrieval

# %%
frame = hashbench.run("quick", out="results", workers=2).to_frame()
assert_type(frame, pd.DataFrame)
means = frame[frame.metric == "map"].pivot_table("value", "defense", "attack")
means.round(3)

# %% codes of one's own
rng = np.random.default_rng(0)
query = np.sign(rng.standard_normal((4, 32)))
database = np.sign(rng.standard_normal((100, 32)))
labels = np.eye(10, dtype=np.uint8)
precision = retrieval.average_precision(
    query, database, labels[[0, 1, 2, 3]], labels[rng.integers(10, size=100)]
)
assert_type(precision, NDArray[np.float64])
precision.mean().round(3)

# %% a model, and an attack by hand
data = plugins.get("dataset", "fashion")
assert isinstance(data, plugins.Dataset)
splits = data.load(None)
small_cnn = plugins.get("backbone", "small-cnn")
assert isinstance(small_cnn, plugins.Backbone)
net = small_cnn.build(hashing.InputSpec.of(splits.train))
model = hashing.load_checkpoint(Path("model"), hashing.HashModel(net, 32))
assert_type(model, hashing.HashModel)
assert_type(model.outputs(torch.rand(4, 1, 28, 28)), torch.Tensor)
codes = {name: hashing.encode(model, part.images).codes for name, part in vars(splits).items()}
hag = plugins.get("attack", "hag:steps=10")
assert isinstance(hag, plugins.Attack)
assert_type(hag.passes(), int)
threat = attacking.Threat(hashbench.Eps.parse("8/255"))
assert_type(threat.radius, float)
known = attacking.Known.of(
    splits.query.labels,
    retrieval.center_codes(splits.query.labels, codes["train"], splits.train.labels),
    codes["train"],
    splits.train.labels,
)
assert_type(known, attacking.Known)
outcome = attacking.run_attack(
    hag,
    model,
    splits.query.images,
    attacking.Attacker(known),
    threat,
    range(len(splits.query)),
    batch=100,
)
assert_type(outcome, attacking.AttackOutcome)
assert_type(outcome.zero_gradients, float)
