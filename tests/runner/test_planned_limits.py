"""Limits that only the end of a run would meet: asked before anything is computed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from typing_extensions import override

import hashbench
from hashbench import UsageError
from hashbench.data import ImageSet, RetrievalData
from hashbench.plugins import Dataset, dataset
from hashbench.plugins.registered import Origin, Registry
from hashbench.results.cell import CLEAN
from hashbench.retrieval.packing import MAX_BITS, MAX_CLASSES
from hashbench.runner import suite_tables
from hashbench.runner.plan import make_plan
from hashbench.runner.rehearsal import rehearse
from hashbench.runner.suite import MAX_CELLS, Suite, compose

TinySuite = Callable[..., Suite]

PLUGINS = """\
from dataclasses import dataclass

import torch
from torch import nn

from hashbench.errors import UsageError
from hashbench.hashing import BackboneNet
from hashbench.plugins import Access, Attack, Backbone, Defense, Loss, WrappingDefense
from hashbench.plugins import attack, backbone, defense, loss


@backbone("broken")
@dataclass(frozen=True)
class Broken(Backbone):
    '''Cannot be built.'''

    def build(self, images):
        return BackboneNet(nn.Flatten(), self.nothing, (0.5,), (0.5,))


@backbone("misfit")
@dataclass(frozen=True)
class Misfit(Backbone):
    '''Gives other features than it says.'''

    def build(self, images):
        return BackboneNet(nn.Flatten(), 3, (0.5,), (0.5,))


@loss("even-bits")
@dataclass(frozen=True)
class EvenBits(Loss):
    '''Has centers of an even length alone.'''

    def bind(self, setup):
        if setup.bits % 2:
            raise UsageError(f"needs an even code length, found {setup.bits}")
        raise RuntimeError("a bug, which fails cells and no plan")


@defense("neither")
@dataclass(frozen=True)
class Neither(Defense):
    '''Neither trains nor wraps.'''


@defense("colour")
@dataclass(frozen=True)
class Colour(WrappingDefense):
    '''Takes colour alone.'''

    def wrap(self, model):
        return Picky(model)


class Picky(nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def logits(self, images):
        if images.shape[1] != 3:
            raise UsageError("takes images of 3 channels")
        return self.model.logits(images)


@attack("endless", access=Access.NONE, knowledge=())
@dataclass(frozen=True)
class Endless(Attack):
    '''Takes more passes than a run grants.'''

    steps: int = 20_001

    def perturb(self, model, images, goal, threat, rng):
        return images
"""


@dataclass(frozen=True)
class Wide(Dataset):
    """Images of as many classes as it is told."""

    classes: int = 2

    @override
    def load(self, root: Path | None) -> RetrievalData:
        labels = np.zeros((4, self.classes), np.uint8)
        labels[:, 0] = 1
        images = ImageSet(np.zeros((4, 1, 8, 8), np.uint8), labels)
        return RetrievalData(tuple(map(str, range(self.classes))), images, images, images)


@pytest.fixture
def tried(tiny_suite: TinySuite, tmp_path: Path) -> Callable[..., None]:
    """Plans and rehearses a tiny suite with the plugins above: (**keys)."""
    path = tmp_path / "late.py"
    path.write_text(PLUGINS)

    def plan(**changes: object) -> None:
        rehearse(make_plan(tiny_suite(plugin=[path], **changes)).steps)

    return plan


def test_the_numbers_are_those_of_the_rooms_that_have_them() -> None:
    assert suite_tables.MAX_BITS == MAX_BITS
    assert suite_tables.NO_ATTACK == CLEAN


@pytest.mark.parametrize("bits", [0, -1, MAX_BITS + 1, 10**9, pytest.param(10**5_000, id="long")])
def test_a_code_length_that_cannot_be_packed(bits: int) -> None:
    with pytest.raises(UsageError, match="at least 1 bit and at most 512"):
        compose(None, {"bits": [bits]})


def test_the_longest_code_and_the_most_classes_are_planned(
    tiny_suite: TinySuite, fresh_registry: Registry
) -> None:
    fresh_registry.add(dataset("wide")(Wide), Origin("here", "", "here"))
    most = tiny_suite(dataset=f"wide:classes={MAX_CLASSES}", bits=MAX_BITS)
    rehearse(make_plan(most).steps)
    with pytest.raises(UsageError, match="'wide' has 2,001 classes, but at most 2,000"):
        make_plan(tiny_suite(dataset=f"wide:classes={MAX_CLASSES + 1}"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "broken"}, "backbone 'broken' cannot be built: AttributeError"),
        ({"backbone": "misfit"}, "backbone 'misfit' does not take images of 1 x 8 x 8"),
        ({"backbone": "small-cnn:hidden=10000000"}, "parameters for these images, but at most"),
        ({"backbone": "small-cnn:width=1000000000"}, "cannot be built: RuntimeError"),
        ({"backbone": "alexnet"}, "backbone 'alexnet' needs images of at least 63 pixels a side"),
        ({"backbone": "timm:model=NOSUCH"}, "timm has no such model"),
        ({"backbone": "timm:model=resnet18.nosuchtag"}, "'resnet18.nosuchtag': Invalid pretrained"),
        ({"loss": "even-bits", "bits": 7}, "loss 'even-bits': needs an even code length, found 7"),
        ({"defense": "neither"}, "'neither' is neither a TrainedDefense nor a WrappingDefense"),
        ({"defense": "colour"}, "defense 'colour': takes images of 3 channels"),
        ({"attack": "endless"}, "'endless' may take 20,001 passes per query, but a run grants"),
    ],
)
def test_what_cannot_work_is_refused_before_work(
    tried: Callable[..., None], changes: dict[str, object], message: str
) -> None:
    pytest.importorskip("timm") if "timm" in str(changes) else None
    with pytest.raises(UsageError) as raised:
        tried(**changes)
    assert message in str(raised.value)


def test_what_works_or_breaks_by_a_bug_is_left_to_its_cells(tried: Callable[..., None]) -> None:
    tried()
    tried(loss="even-bits", bits=8)
    tried(attack="endless:steps=20000")
    tried(attack="endless", limits={"passes": 20_001})
    tried(defense="resize-pad:draws=1000000000")  # of which one is tried


def test_a_run_from_python_is_refused_before_anything_is_written(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="at least 63 pixels"):
        hashbench.run(tiny_suite(backbone="alexnet"), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_weights_that_do_not_fit_are_refused_with_their_file(
    tried: Callable[..., None], tmp_path: Path
) -> None:
    import torch

    path = tmp_path / "w.pth"
    torch.save({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(UsageError, match=r"resnet18.*w\.pth"):
        tried(backbone=f"resnet18:weights={path}")
    with pytest.raises(UsageError, match=r"'resnet18'.*nosuch"):
        tried(backbone="resnet18:weights=nosuch.pth")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("compute", {"threads": 99_999}, "compute.threads is 99,999, but must be from 1 to 1,024"),
        ("compute", {"threads": 10**9}, "from 1 to 1,024"),
        ("training", {"epochs": 10**7}, "from 0 to 1,000,000"),
        ("training", {"epochs": 10**5_000}, "thousands of digits"),
        ("training", {"learning_rate": float("nan")}, "learning_rate is nan"),
        ("training", {"learning_rate": float("inf")}, "learning_rate is inf"),
        ("training", {"weight_decay": -1.0}, "weight_decay is -1.0"),
        ("training", {"milestones": [2.0]}, "milestones holds 2.0"),
        ("training", {"optimizer": "adam", "momentum": 1.0}, "Adam's first beta"),
        ("budget", {"inner_steps": 10**7}, "from 0 to 1,000,000"),
        ("limits", {"passes": 10**13}, "from 1 to"),
        ("seed", [10**30], "seed is 1"),
    ],
)
def test_a_number_out_of_its_range(key: str, value: object, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        compose(None, {key: value})
    assert message in str(raised.value)


def test_a_grid_is_counted_before_it_is_built() -> None:
    most = {"defense": "none", "attack": ["noise", "none"], "seed": list(range(MAX_CELLS // 2))}
    assert compose(None, most).size == MAX_CELLS
    with pytest.raises(UsageError, match=r"it asks for 200,002 cells .*100,001 seed x 1 attack"):
        compose(None, {**most, "seed": list(range(MAX_CELLS // 2 + 1))})
    huge = {"seed": list(range(10**5)), "bits": list(range(1, 513)), "eps": ["0", "1", "1/2"]}
    with pytest.raises(UsageError, match="it asks for 3,891,200,000 cells"):
        compose(None, huge)


def test_what_is_written_twice_is_asked_for_once() -> None:
    suite = compose(None, {"seed": [0, 0, "0"], "bits": [32, "32"], "defense": ["none", "none"]})
    assert (suite.seed, suite.bits, len(suite.defense)) == ((0,), (32,), 1)


def test_a_plan_for_a_device_that_is_elsewhere(
    tiny_suite: TinySuite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    suite = tiny_suite(compute={"device": "cuda"})
    rehearse(make_plan(suite).steps)
    with pytest.raises(UsageError, match="torch finds no CUDA device here"):
        hashbench.run(suite, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="expected cpu or cuda"):
        make_plan(tiny_suite(compute={"device": "tpu"}))
