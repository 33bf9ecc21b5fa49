"""A training that is stopped after any epoch goes on, and ends with the same bytes."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from hashbench import plugins
from hashbench.defending import AdversarialTraining
from hashbench.errors import FileError, PluginError, TrainingError, WriteError
from hashbench.hashing.kept import Kept, UnsaidError, copied, given, packed, taken, unpacked
from hashbench.hashing.objective import BoundLoss
from hashbench.plugins.registered import Registry
from hashbench.progress import no_progress
from hashbench.results.store import Store
from hashbench.results.unfinished import UnfinishedTraining, sweep_unfinished
from hashbench.runner.execute import execute
from hashbench.runner.plan import make_plan
from hashbench.runner.steps import BaseModel, DefendedModel, Step
from hashbench.runner.suite import Suite

TinySuite = Callable[..., Suite]

CARELESS = Path(__file__).resolve().parents[1] / "end_to_end" / "careless.py"
EPOCHS, PER_EPOCH = 4, 3  # of the tiny data set at 8 images a batch


class Killed(BaseException):
    """In place of SIGKILL: nothing that runs in the training catches it."""


@dataclass
class Until:
    """Progress that is killed in a step of the training, and notes the steps that it was told."""

    stop: int

    def __post_init__(self) -> None:
        self.told: list[int] = []

    def __call__(self, done: int, _total: int) -> None:
        self.told.append(done)
        if done == self.stop:
            raise Killed


def files_of(step: Step, store: Store) -> dict[str, bytes]:
    folder = store.folder / step.address.path
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "done.json"}


def state_of(step: Step, store: Store) -> Path:
    return UnfinishedTraining(store.folder, step.key).path


def training_of(suite: Suite) -> tuple[Step, list[Step]]:
    """The last training of a suite with one model, and the steps before it."""
    plan = make_plan(suite)
    models = [step for step in plan.steps if isinstance(step, BaseModel | DefendedModel)]
    base = models[0]
    if isinstance(models[-1], DefendedModel) and str(suite.defense[0]) != "none":
        return models[-1], [base]
    return base, []


def goes_on(
    suite: Suite, folder: Path, epochs: int = EPOCHS, per_epoch: int = PER_EPOCH
) -> Iterator[list[int]]:
    """Kill it once in every epoch but the first: the steps that were made after each kill."""
    step, before = training_of(suite)
    whole, cut = Store(folder / "whole"), Store(folder / "cut")
    for store in (whole, cut):
        for one in before:
            execute(one, store, no_progress)
    execute(step, whole, no_progress)
    rng = random.Random(7)
    for epoch in range(1, epochs):
        until = Until(epoch * per_epoch + rng.randrange(1, per_epoch + 1))
        with pytest.raises(Killed):
            execute(step, cut, until)
        yield until.told
    last = Until(-1)
    execute(step, cut, last)
    yield last.told
    assert files_of(step, cut) == files_of(step, whole)
    assert not state_of(step, cut).exists()


def check_goes_on(suite: Suite, folder: Path, epochs: int = EPOCHS, per: int = PER_EPOCH) -> None:
    begun = 1  # the first kill falls into the second epoch
    for number, told in enumerate(goes_on(suite, folder, epochs, per)):
        assert told[0] == begun, f"after kill {number} it did not go on from its last epoch"
        begun = (number + 1) * per + 1


def specs(kind: str) -> list[str]:
    """Every plugin of a kind that ships, and every preset of it."""
    found = []
    for name in plugins.names(kind):
        card = plugins.get(kind, name).card
        if type(plugins.get(kind, name)).__module__.startswith("hashbench."):
            found += [name, *(f"{name}@{preset}" for preset in card.presets)]
    return sorted(found)


@pytest.mark.parametrize("loss", specs("loss"))
def test_every_loss(tiny_suite: TinySuite, tmp_path: Path, loss: str) -> None:
    check_goes_on(tiny_suite(loss=loss, training={"epochs": EPOCHS, "batch": 8}), tmp_path)


@pytest.mark.parametrize("loss", ["hashnet@saat", "hashnet@deephash"])
def test_what_a_loss_counts_is_kept(tiny_suite: TinySuite, tmp_path: Path, loss: str) -> None:
    """Their factor grows at step 200 and in epoch 20; a count that begins again would miss both."""
    suite = tiny_suite(loss=loss, training={"epochs": 22, "batch": 2})
    check_goes_on(suite, tmp_path, epochs=22, per=12)


TRAINED = [
    spec
    for spec in specs("defense")
    if isinstance(plugins.get("defense", spec), AdversarialTraining)
]


@pytest.mark.parametrize("loss", ["csq", "dsdh"])
@pytest.mark.parametrize("defense", TRAINED)
def test_every_trained_defense(
    tiny_suite: TinySuite, tmp_path: Path, defense: str, loss: str
) -> None:
    assert len(TRAINED) >= 7
    suite = tiny_suite(
        defense=f"{defense}:epochs={EPOCHS},inner_steps=2",
        loss=loss,
        training={"epochs": 1, "batch": 8},
    )
    check_goes_on(suite, tmp_path, per=1)  # 32 images a batch: one step an epoch


def test_a_training_on_bounds_goes_on(tiny_suite: TinySuite, tmp_path: Path) -> None:
    """Its schedule, its rate and its shifts go on where they were."""
    suite = tiny_suite(
        defense=f"certified:epochs={EPOCHS},batch=8,augment=flip-shift",
        loss="csq:codes=similarity",
        training={"epochs": 1, "batch": 8},
    )
    check_goes_on(suite, tmp_path, per=PER_EPOCH)


@pytest.mark.parametrize("defense", ["none", "cgat:augment=crop-flip"])
@pytest.mark.parametrize("precision", ["float32", "mixed"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_augmentation_precision_and_optimiser(
    tiny_suite: TinySuite, tmp_path: Path, optimizer: str, precision: str, defense: str
) -> None:
    defense = defense if defense == "none" else f"{defense},epochs={EPOCHS},inner_steps=1"
    training = {"epochs": EPOCHS, "batch": 8, "augment": "crop-flip", "optimizer": optimizer}
    suite = tiny_suite(
        defense=defense, training=training, compute={"precision": precision}, loss="ortho"
    )
    check_goes_on(suite, tmp_path, per=PER_EPOCH if defense == "none" else 1)


def test_dropout(tiny_suite: TinySuite, tmp_path: Path) -> None:
    """Which draws from the generator of the whole process."""
    suite = tiny_suite(
        backbone="forgetful", plugin=[CARELESS], training={"epochs": EPOCHS, "batch": 8}
    )
    check_goes_on(suite, tmp_path)


SILENT = '''
"""A hashing loss that counts its batches and does not say so."""
from dataclasses import dataclass
from hashbench.hashing import BoundLoss
from hashbench.plugins import Loss, loss

class Bound(BoundLoss):
    steps = 0
    def forward(self, outputs, labels, index):
        self.steps += 1
        return (outputs - 1 / self.steps).square().mean()

@loss("silent")
@dataclass(frozen=True)
class Silent(Loss):
    """Counts."""
    def bind(self, setup):
        return Bound()
'''


def test_a_loss_that_does_not_say_what_changes_starts_again(
    tiny_suite: TinySuite, tmp_path: Path
) -> None:
    plugin = tmp_path / "silent.py"
    plugin.write_text(SILENT)
    suite = tiny_suite(loss="silent", plugin=[plugin], training={"epochs": EPOCHS, "batch": 8})
    for told in goes_on(suite, tmp_path):
        assert told[0] == 1


@pytest.fixture
def interrupted(tiny_suite: TinySuite, tmp_path: Path) -> tuple[Step, Store, dict[str, bytes]]:
    """A training with the state of two epochs, and what it should end with."""
    step, _ = training_of(tiny_suite(training={"epochs": EPOCHS, "batch": 8}))
    whole, cut = Store(tmp_path / "whole"), Store(tmp_path / "cut")
    execute(step, whole, no_progress)
    with pytest.raises(Killed):
        execute(step, cut, Until(2 * PER_EPOCH + 1))
    assert state_of(step, cut).is_file()
    return step, cut, files_of(step, whole)


def first_step(step: Step, store: Store) -> int:
    until = Until(-1)
    execute(step, store, until)
    return until.told[0]


def test_a_damaged_state_is_not_read_back(
    interrupted: tuple[Step, Store, dict[str, bytes]],
) -> None:
    step, store, wanted = interrupted
    path = state_of(step, store)
    good = path.read_bytes()
    rng = random.Random(0)
    damaged = [b"", good[: len(good) // 2], good + b"\0", b"\xff" * 8 + good, bytes(len(good))]
    for _ in range(40):
        place, bit = rng.randrange(len(good)), rng.randrange(8)
        damaged.append(good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :])
    for content in damaged:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        assert first_step(step, store) == 1
        assert files_of(step, store) == wanted
    path.write_bytes(good)
    assert first_step(step, store) == 2 * PER_EPOCH + 1
    assert files_of(step, store) == wanted


def test_a_state_that_is_no_file_or_too_large_is_not_read(
    interrupted: tuple[Step, Store, dict[str, bytes]],
) -> None:
    step, store, wanted = interrupted
    path = state_of(step, store)
    path.unlink()
    path.symlink_to("/dev/zero")
    assert first_step(step, store) == 1
    with path.open("wb") as file:
        file.truncate(1 << 40)
    assert first_step(step, store) == 1
    assert files_of(step, store) == wanted


def test_a_state_of_another_training_or_machine_is_not_read(
    interrupted: tuple[Step, Store, dict[str, bytes]],
    tiny_suite: TinySuite,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step, store, wanted = interrupted
    other, _ = training_of(tiny_suite(seed=1, training={"epochs": EPOCHS, "batch": 8}))
    good = state_of(step, store).read_bytes()
    state_of(other, store).write_bytes(good)
    assert first_step(other, store) == 1
    monkeypatch.setattr("hashbench.runner.training.environment", lambda: {"torch": "another"})
    assert first_step(step, store) == 1
    assert files_of(step, store) == wanted


def test_a_state_with_right_sums_and_wrong_content_leaves_no_trace(
    interrupted: tuple[Step, Store, dict[str, bytes]],
) -> None:
    """Somebody's file: whatever it holds, the training starts again from its own beginning."""
    step, store, wanted = interrupted
    path = state_of(step, store)
    made_by = json.loads(metadata(path.read_bytes())["state"])["made_by"]
    good = unpacked(path.read_bytes(), made_by)
    wrong: list[Callable[[dict[str, Any]], None]] = [
        lambda tree: tree.pop("epochs"),
        lambda tree: tree.update(epochs=-1),
        lambda tree: tree.update(epochs="2"),
        lambda tree: tree["kept"].pop("objective"),
        lambda tree: tree["kept"]["optimizer"]["state"].update(state=3),
        lambda tree: tree["kept"]["process"]["state"].update(python=(1, 2)),
        lambda tree: tree["kept"]["process"]["state"].update(torch=torch.zeros(3)),
        lambda tree: tree["kept"]["model"]["state"].popitem(),
        lambda tree: tree["kept"]["objective"]["keeps"].update(more=1),
        lambda tree: tree.update(kept=None),
    ]
    for change in wrong:
        tree = unpacked(packed(good, made_by), made_by)
        change(tree)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(packed(tree, made_by))
        assert first_step(step, store) == 1
        assert files_of(step, store) == wanted


def metadata(content: bytes) -> dict[str, str]:
    """What a safetensors file says beside its tensors; here with a sum over them."""
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    found: dict[str, str] = header["__metadata__"]
    return found


def test_a_training_that_fails_by_itself_starts_again(
    interrupted: tuple[Step, Store, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    step, store, _ = interrupted
    with monkeypatch.context() as patch:
        patch.setattr("hashbench.hashing.loss_record.math.isfinite", lambda _: False)
        with pytest.raises(TrainingError):
            execute(step, store, no_progress)
    assert not state_of(step, store).exists()


@pytest.mark.parametrize(("errno", "ends"), [(28, True), (122, True), (30, True), (5, False)])
def test_a_state_that_cannot_be_written_ends_the_training_only_where_nothing_can_be(
    tiny_suite: TinySuite,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    errno: int,
    *,
    ends: bool,
) -> None:
    step, _ = training_of(tiny_suite(training={"epochs": EPOCHS, "batch": 8}))

    def full(path: Path, _content: bytes) -> None:
        raise WriteError(path, OSError(errno, "no"))

    monkeypatch.setattr("hashbench.results.unfinished.write_file", full)
    until, store = Until(-1), Store(tmp_path)
    if ends:
        with pytest.raises(WriteError):
            execute(step, store, until)
        assert until.told[-1] == PER_EPOCH
    else:
        execute(step, store, until)
        assert store.has(step.address)


def test_sweep_leaves_what_a_plan_of_the_folder_may_go_on_from(tmp_path: Path) -> None:
    keys = {name: name * 64 for name in "abcd"}
    for key in keys.values():
        UnfinishedTraining(tmp_path, key).write(b"state")
    (tmp_path / "unfinished" / ".x.safetensors.0a1b2c3d.tmp").write_bytes(b"half")
    store = Store(tmp_path)
    store.write_plan("other", {"cells": [{"steps": [{"key": keys["c"]}]}]})
    sweep_unfinished(tmp_path, planned={keys["a"], keys["b"]}, todo={keys["a"]})
    left = {path.name[0] for path in (tmp_path / "unfinished").iterdir()}
    assert left == {"a", "c"}  # b is made; nobody asks for d
    sweep_unfinished(tmp_path, planned={keys["a"], keys["c"]}, todo=())
    assert not (tmp_path / "unfinished").exists()
    sweep_unfinished(tmp_path / "no such folder", (), ())


class Odd:
    """Gives and takes a state with every kind of value."""

    def __init__(self) -> None:
        self.state: Any = None

    def state_dict(self) -> dict[str, Any]:
        return {"it": self.state}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        self.state = state_dict["it"]


def test_a_tree_comes_back_as_it_was() -> None:
    shared = torch.arange(6.0)
    odd = Odd()
    odd.state = {
        "texts": ["a", "ü\n", ""],
        7: (1, 2**130, -0.0, 1e-320, None, True),
        "tensors": [shared, shared, shared[2:], torch.zeros(2, 0), torch.tensor(3)],
        "kinds": [torch.ones(2, dtype=kind) for kind in (torch.bfloat16, torch.bool, torch.int8)],
        "array": np.arange(5, dtype=np.uint32),
        "turned": torch.arange(6).reshape(2, 3).T,
    }
    tree = unpacked(packed(copied(taken(odd)), "me"), "me")
    other = Odd()
    given(other, tree)
    assert metadata(packed(taken(other), "me")) == metadata(packed(taken(odd), "me"))
    assert list(other.state) == list(odd.state)
    assert other.state[7] == odd.state[7]
    assert str(other.state[7][2]) == "-0.0"
    for one, two in zip(other.state["tensors"], odd.state["tensors"], strict=True):
        assert one.dtype == two.dtype
        assert torch.equal(one, two)
    assert other.state["array"].dtype == np.uint32
    with pytest.raises(FileError, match="another training"):
        unpacked(packed(taken(odd), "me"), "you")


def test_generators_and_tensors_go_on_where_they_were() -> None:
    torch_one, numpy_one, tensor = torch.Generator(), np.random.default_rng(1), torch.zeros(3)
    torch_one.manual_seed(3)
    everyone: tuple[Kept, ...] = (torch_one, numpy_one, tensor)
    trees = [copied(taken(one)) for one in everyone]
    drawn = torch.rand(5, generator=torch_one), numpy_one.random(5)
    alias = tensor
    tensor += 1
    for one, tree in zip(everyone, trees, strict=True):
        given(one, tree)
    assert torch.equal(torch.rand(5, generator=torch_one), drawn[0])
    assert np.array_equal(numpy_one.random(5), drawn[1])
    assert torch.equal(alias, torch.zeros(3))  # in place: whoever holds it sees it
    with pytest.raises(FileError):
        given(tensor, torch.zeros(4))
    with pytest.raises(FileError):
        given(tensor, torch.zeros(3, dtype=torch.float64))


def test_what_cannot_be_kept_is_told(fresh_registry: Registry) -> None:  # noqa: ARG001
    class Wrong(BoundLoss):
        def forward(self, outputs: Tensor, labels: Tensor, index: Tensor) -> Tensor:
            return outputs.sum() * len(labels) * len(index)

    with pytest.raises(UnsaidError):
        taken(Wrong())
    with pytest.raises(PluginError, match=r"keeps\(\) names a int"):
        taken(3)  # type: ignore[arg-type]
    odd = Odd()
    odd.state = nn.Linear
    with pytest.raises(PluginError, match="a state holds a type"):
        packed(taken(odd), "me")
