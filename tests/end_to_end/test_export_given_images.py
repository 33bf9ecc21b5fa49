"""Attacked images of models that were given: by their weights, as programs, and as objects."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from hashbench.data.images import RetrievalData
from hashbench.hashing.backbone import InputSpec
from hashbench.hashing.encode import encode
from hashbench.hashing.model import HashModel
from hashbench.plugins import Backbone, Dataset, get, use_file
from hashbench.plugins.registered import Registry
from hashbench.runner.evaluate import evaluate
from hashbench.runner.run import run
from hashbench.runner.suite import compose
from hashbench.zoo.attacked_images import AttackedImages
from hashbench.zoo.importing import import_model
from hashbench.zoo.origin import Origin
from hashbench.zoo.stored_images import attacked_images
from support.trials import IMPORTED, Trial, Trials

TINY = Path(__file__).resolve().parents[1] / "plugins" / "tiny_data.py"
PLUGIN = ("--plugin", str(TINY))
BACKBONE = "small-cnn:width=4,hidden=16"
EXAMPLE = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1))
FREE = ({0: torch.export.Dim("batch")},)
SPLITS = ("train", "query", "database")
OBJECT = "its model was an object of a program, which no folder holds"


@pytest.fixture(scope="module")
def trials() -> Iterator[Trials]:
    with Trials((*IMPORTED, "hashbench.zoo.image_files", "hashbench.runner.step_kinds")) as process:
        yield process


@pytest.fixture
def model() -> HashModel:
    backbone = get("backbone", BACKBONE)
    assert isinstance(backbone, Backbone)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return HashModel(backbone.build(InputSpec(1, 8, 8, (0.4,), (0.25,))), 8).eval()


class Logits(nn.Module):
    """Pixels in, numbers out, as others hand models on."""

    def __init__(self, model: HashModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model.logits(images)


def weights(model: HashModel, path: Path) -> None:
    torch.save(model.state_dict(), path)


def traced(model: HashModel, path: Path) -> None:
    torch.jit.save(torch.jit.trace(Logits(model), EXAMPLE), path)


def exported(model: HashModel, path: Path) -> None:
    torch.export.save(torch.export.export(Logits(model), (EXAMPLE,), dynamic_shapes=FREE), path)


def onnx(model: HashModel, path: Path) -> None:
    torch.onnx.export(Logits(model), (EXAMPLE,), path, dynamic_shapes=FREE, verbose=False)


def cells(folder: Path) -> list[dict[str, str]]:
    with (folder / "cells.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def export(trials: Trials, place: Path, to: str = "images", *more: str) -> Trial:
    return trials.run("export-images", "r", "--to", to, *PLUGIN, *more, cwd=place)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("write", "name", "origin"),
    [
        (weights, "net.pth", Origin("tiny", backbone=BACKBONE)),
        (weights, "net.pth", Origin("tiny", backbone=BACKBONE, loss="a loss of ours")),
        (traced, "net.pt", Origin("tiny")),
        (exported, "net.pt2", Origin("tiny", loss="csq")),
        (onnx, "net.onnx", Origin("tiny")),
    ],
)
def test_an_imported_model_is_asked_as_in_its_run(
    model: HashModel,
    tmp_path: Path,
    fresh_registry: Registry,  # noqa: ARG001
    write: Callable[[HashModel, Path], None],
    name: str,
    origin: Origin,
) -> None:
    use_file(TINY)
    write(model, tmp_path / name)
    import_model(tmp_path / name, tmp_path / "m", origin, None)
    results = run(
        compose(None, {"model": [str(tmp_path / "m")], "attack": "noise", "eps": "24/255"}),
        out=tmp_path / "r",
    )
    [found] = attacked_images(tmp_path / "r", results)
    assert isinstance(found, AttackedImages), found.reason
    assert (len(found), found.elsewhere) == (8, 0)
    # The same network whatever it is kept in.
    assert np.array_equal(found.rounded_codes, encode(model, found.rounded).codes)


def test_a_given_model_has_its_wrapper_around_it(trials: Trials, tmp_path: Path) -> None:
    grid = ("--dataset", "tiny", "--backbone", BACKBONE, "--bits", "32", "--eps", "120/255")
    for command in (
        ("run", *grid, "--defense", "bit-depth:bits=1", "--attack", "noise", "--out", "a"),
        ("model", "export", "a", "--defense", "bit-depth", "--to", "m"),
        ("run", "--model", "m", "--attack", "noise", "--eps", "120/255", "--out", "r"),
        # What is handed on once more still says so.
        ("model", "export", "r", "--to", "again"),
        ("run", "--model", "again", "--attack", "noise", "--out", "r2"),
    ):
        plugin = () if command[:2] == ("model", "export") else PLUGIN
        done = trials.run(*command, *plugin, cwd=tmp_path)
        assert done.code == 0, done.err
    assert export(trials, tmp_path).code == 0
    (row,) = cells(tmp_path / "images")
    assert (row["defense"], row["codes_differ_here"]) == ("bit-depth:bits=1", "0")


@pytest.mark.parametrize("own", [True, False])
def test_an_object_is_named_and_what_is_not_one_is_written(
    trials: Trials,
    model: HashModel,
    tmp_path: Path,
    fresh_registry: Registry,  # noqa: ARG001
    own: bool,
) -> None:
    use_file(TINY)
    dataset = get("dataset", "tiny")
    assert isinstance(dataset, Dataset)
    data: RetrievalData = dataset.load(None)
    splits = {
        name: (np.asarray(part.images[:]), part.labels)
        for name, part in zip(SPLITS, (data.train, data.query, data.database), strict=True)
    }
    evaluate(Logits(model), splits if own else "tiny", "noise", eps="24/255", out=tmp_path / "r")
    said = export(trials, tmp_path)
    assert said.code == 2
    assert OBJECT in said.err
    assert "--keep-images" not in said.err
    assert not (tmp_path / "images").exists()
    weights(model, tmp_path / "net.pth")
    told = ("--dataset", "tiny", "--backbone", BACKBONE, "--to", "m", *PLUGIN)
    assert trials.run("model", "import", "net.pth", *told, cwd=tmp_path).code == 0
    ran = ("run", "--model", "m", "--attack", "noise", "--eps", "24/255", "--out", "r", *PLUGIN)
    assert trials.run(*ran, cwd=tmp_path).code == 0
    said = export(trials, tmp_path)
    assert said.code == 1
    assert f": {OBJECT}" in said.err
    assert [row["loss"] for row in cells(tmp_path / "images")] == ["unstated"]
    assert [row["images"] for row in cells(tmp_path / "images")] == ["8"]
