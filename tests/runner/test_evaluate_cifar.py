"""A network of torchvision's that a user trained on photographs: as an object, and from a file.

What `hashbench.evaluate` says of the object is what `hashbench model import` and `run --model` say
of its state dict, to the last digit: all sums are the same, in the same order.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

import hashbench
from hashbench import plugins
from hashbench.plugins import Dataset
from hashbench.results import Results
from hashbench.zoo.importing import import_model
from hashbench.zoo.origin import Normalisation, Origin

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "cifar10-jpeg"

MEAN, STD = (0.49, 0.48, 0.45), (0.25, 0.24, 0.26)
DATASET = "lists:crop=32"
SIZES = {"train": 300, "test": 8, "database": 400}
"""So few that all of it takes less than a minute on one core."""


def part_of(folder: Path) -> Path:
    """The first images of each split, in the papers' list layout."""
    for split, count in SIZES.items():
        for what in ("img", "label"):
            lines = (SHARED / f"{split}_{what}.txt").read_text().splitlines()
            step = len(lines) // count
            chosen = lines[::step][:count]
            (folder / f"{split}_{what}.txt").write_text("\n".join(chosen) + "\n")
            for name in chosen if what == "img" else ():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(SHARED / name, folder / name)
    return folder


def trained(folder: Path) -> nn.Module:
    """As somebody trains it who knows nothing of hashbench; the data are read by its own reader."""
    source = plugins.get("dataset", DATASET)
    assert isinstance(source, Dataset)
    data = source.load(folder).train
    images = torch.from_numpy(np.ascontiguousarray(data.images[0 : len(data)])).float() / 255
    labels = torch.from_numpy(data.labels).float()
    torch.manual_seed(0)
    net: nn.Module = torchvision.models.resnet18(weights=None)
    net.fc = nn.Linear(512, 32)
    targets = torch.randn(labels.shape[1], 32).sign()[labels.argmax(dim=1)]
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
    for _ in range(2):
        for rows in torch.randperm(len(images)).split(40):
            loss = nn.functional.mse_loss(net((images[rows] - mean) / std).tanh(), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return net


def numbers(results: Results) -> dict[tuple[str, str], object]:
    assert not results.failed
    return {
        (result.cell.attack, result.cell.eps): (dict(result.metrics), result.per_query.tolist())
        for result in results.cells
    }


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason=f"no photographs in {SHARED}")
def test_a_resnet_gives_the_same_numbers_as_an_object_and_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    photos = part_of(tmp_path / "photos")
    net = trained(photos)
    attacks = ["noise", "auto"]
    by_object = hashbench.evaluate(
        net, DATASET, attacks, "8/255", root=photos, mean=MEAN, std=STD, progress=False
    )
    torch.save(nn.DataParallel(net).state_dict(), tmp_path / "mine.pth")
    import_model(
        tmp_path / "mine.pth",
        tmp_path / "model",
        Origin(dataset=DATASET, backbone="resnet18", normalisation=Normalisation(MEAN, STD)),
        photos,
    )
    by_file = hashbench.run(
        model=tmp_path / "model",
        attack=attacks,
        eps="8/255",
        root=photos,
        out=tmp_path / "out",
        progress=False,
    )
    assert numbers(by_object) == numbers(by_file)
    assert {attack for attack, _ in numbers(by_object)} == {"none", *attacks}
    assert net.training
