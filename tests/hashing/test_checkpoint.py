"""Checkpoints: a round trip to the bit, and every misfit refused with nothing loaded."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from hashbench.errors import UsageError
from hashbench.hashing import HashModel, load_checkpoint, save_checkpoint
from hashbench.hashing.checkpoint import CARD, SCHEMA, WEIGHTS, ModelCard, read_card
from support.bomb import Bomb

Build = Callable[..., HashModel]
Weights = dict[str, torch.Tensor]

CARD_OF_MODEL = ModelCard(
    backbone="small-cnn:width=8",
    bits=6,
    loss="csq",
    defense="none",
    dataset="fashion",
    protocol="0" * 64,
    seed=3,
    recipe={"epochs": 2, "milestones": [0.5, 0.75], "learning_rate": 0.01},
)


@pytest.fixture
def folder(tmp_path: Path, small_model: Build) -> Path:
    """A sound checkpoint of the model of seed 1, whose batch norm has counted batches."""
    model = small_model(seed=1)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(torch.rand(4, 3, 4, 4))
    save_checkpoint(tmp_path / "a checkpoint", model, CARD_OF_MODEL)
    return tmp_path / "a checkpoint"


@pytest.fixture
def refuses(small_model: Build) -> Callable[[Path, str], None]:
    """Loading fails with one sentence that names the folder and the fault; nothing is loaded."""

    def check(folder: Path, fault: str) -> None:
        model = small_model(seed=2)
        before = {name: value.clone() for name, value in model.state_dict().items()}
        with pytest.raises(UsageError, match=fault) as refusal:
            load_checkpoint(folder, model)
        assert str(folder) in str(refusal.value)
        for name, value in model.state_dict().items():
            assert torch.equal(value, before[name]), name

    return check


def rewrite(folder: Path, change: Callable[[Weights], object]) -> None:
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)


def test_a_round_trip_is_the_same_to_the_bit(folder: Path, small_model: Build) -> None:
    saved = load_file(folder / WEIGHTS)
    model = small_model(seed=2)
    assert load_checkpoint(folder, model) is model
    state = model.state_dict()
    assert state.keys() == saved.keys()
    for name, value in saved.items():
        assert torch.equal(state[name], value), name
        assert state[name].dtype == value.dtype
    assert int(state["backbone.1.num_batches_tracked"]) == 3
    assert read_card(folder) == CARD_OF_MODEL


def test_the_same_model_gives_the_same_bytes(folder: Path, small_model: Build) -> None:
    model = load_checkpoint(folder, small_model())
    save_checkpoint(folder.parent / "again", model, read_card(folder))
    for name in (WEIGHTS, CARD):
        assert (folder.parent / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_weights_of_any_memory_layout_are_saved(tmp_path: Path, small_model: Build) -> None:
    model = small_model()
    flipped = model.hash_layer.weight.detach().T.contiguous().T
    assert not flipped.is_contiguous()
    model.hash_layer.weight = torch.nn.Parameter(flipped)
    save_checkpoint(tmp_path / "layout", model, CARD_OF_MODEL)
    loaded = load_checkpoint(tmp_path / "layout", small_model(seed=5))
    assert torch.equal(loaded.hash_layer.weight, flipped)


MISFITS: dict[str, tuple[Callable[[Weights], object], str]] = {
    "missing": (lambda w: w.pop("hash_layer.bias"), r"'hash_layer\.bias' is missing"),
    "extra": (lambda w: w.update(fc=torch.zeros(1)), "'fc' is not known"),
    "renamed": (
        lambda w: w.update({"module.mean": w.pop("mean")}),
        r"'mean' is missing; 'module\.mean' is not known",
    ),
    "bits": (
        lambda w: w.update({"hash_layer.bias": torch.zeros(7)}),
        r"'hash_layer\.bias' has shape \(7,\), expected \(6,\)",
    ),
    "broadcastable": (
        lambda w: w.update({"hash_layer.bias": torch.zeros(1)}),
        r"has shape \(1,\), expected \(6,\)",
    ),
    "double": (
        lambda w: w.update({"hash_layer.bias": torch.zeros(6, dtype=torch.float64)}),
        r"'hash_layer\.bias' is torch\.float64, expected torch\.float32",
    ),
    "nan": (
        lambda w: w["hash_layer.weight"][2].fill_(torch.nan),
        r"'hash_layer\.weight' holds values that are not finite",
    ),
    "infinity": (
        lambda w: w["std"].view(-1)[:1].fill_(torch.inf),
        "'std' holds values that are not finite",
    ),
    "nothing": (lambda w: w.clear(), "is missing.*; ..."),
}


@pytest.mark.parametrize("name", list(MISFITS))
def test_weights_that_do_not_fit_are_refused(
    name: str, folder: Path, refuses: Callable[[Path, str], None]
) -> None:
    change, fault = MISFITS[name]
    rewrite(folder, change)
    refuses(folder, fault)


@pytest.mark.parametrize("keep", [0, 1, 7, 8, 9, 100, 0.5, -1])
def test_a_truncated_file_is_refused(
    keep: float, folder: Path, refuses: Callable[[Path, str], None]
) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    end = int(keep * len(whole)) if isinstance(keep, float) else keep
    (folder / WEIGHTS).write_bytes(whole[:end])
    refuses(folder, f"{WEIGHTS} cannot be read")


@pytest.mark.parametrize(
    "content",
    [
        b"garbage, and more of it",
        b"\x00" * 64,
        b"\xff" * 64,  # a header that claims 2^64 - 1 bytes
        (2**40).to_bytes(8, "little") + b"{}",
        (2).to_bytes(8, "little") + b"[]",
    ],
)
def test_garbage_is_refused(
    content: bytes, folder: Path, refuses: Callable[[Path, str], None]
) -> None:
    (folder / WEIGHTS).write_bytes(content)
    refuses(folder, f"{WEIGHTS} cannot be read")


def test_missing_weights_are_refused(folder: Path, refuses: Callable[[Path, str], None]) -> None:
    (folder / WEIGHTS).unlink()
    refuses(folder, f"there is no {WEIGHTS}")
    (folder / WEIGHTS).mkdir()
    refuses(folder, f"there is no {WEIGHTS}")
    refuses(folder / "nowhere", f"there is no {WEIGHTS}")


def test_random_damage_is_refused_or_harmless(folder: Path, small_model: Build) -> None:
    # One byte at a time: a damaged header is refused; a damaged value is a finite value or refused.
    whole = (folder / WEIGHTS).read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    model = small_model()
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[rng.integers(0, len(whole))] = rng.integers(0, 256)
        (folder / WEIGHTS).write_bytes(damaged)
        try:
            load_checkpoint(folder, model)
        except UsageError:
            refused += 1
        assert all(value.isfinite().all() for value in model.state_dict().values())
    assert refused > 10


def test_a_pickle_is_never_read(
    folder: Path, tmp_path: Path, small_model: Build, refuses: Callable[[Path, str], None]
) -> None:
    mark = tmp_path / "the bomb went off"
    bomb = Bomb(mark)
    disguises: list[Callable[[Path], object]] = [
        lambda path: path.write_bytes(pickle.dumps(bomb)),
        lambda path: torch.save(bomb, path),
        lambda path: torch.save({"state_dict": small_model().state_dict(), "x": bomb}, path),
        lambda path: torch.save(small_model().state_dict(), path),
    ]
    for disguise in disguises:
        disguise(folder / WEIGHTS)
        refuses(folder, f"{WEIGHTS} cannot be read")
        assert not mark.exists()
    # Beside sound weights, or instead of them, it is not looked at either.
    (folder / WEIGHTS).unlink()
    for name in ("model.pth", "pytorch_model.bin", "weights.pt", "weights.safetensors.pkl"):
        disguises[1](folder / name)
    refuses(folder, f"there is no {WEIGHTS}")
    assert not mark.exists()
    pickle.loads(pickle.dumps(bomb))  # noqa: S301
    assert mark.exists(), "the bomb works where it is read"


def card_with(folder: Path, **changed: Any) -> None:
    fields = json.loads((folder / CARD).read_text()) | changed
    kept = {name: value for name, value in fields.items() if value is not ...}
    (folder / CARD).write_text(json.dumps(kept))


def refused_card(folder: Path, fault: str) -> None:
    with pytest.raises(UsageError, match=fault) as refusal:
        read_card(folder)
    assert str(folder) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"schema": SCHEMA + 1}, f"written in format {SCHEMA + 1}.*reads up to {SCHEMA}: update"),
        ({"schema": SCHEMA + 1, "new_field": 1}, "update"),
        ({"schema": "1"}, "is no model card"),
        ({"schema": None}, "is no model card"),
        ({"schema": ...}, "is no model card"),
        ({"bits": ...}, "is no model card.*bits"),
        ({"bits": 6.0}, "is no model card.*bits is 6.0, expected a whole number"),
    ],
)
def test_a_card_of_another_form_is_refused(
    changed: dict[str, Any], fault: str, folder: Path
) -> None:
    card_with(folder, **changed)
    refused_card(folder, fault)


def test_what_a_newer_version_adds_to_the_same_format_is_passed_over(folder: Path) -> None:
    card_with(folder, surprise=1)
    assert read_card(folder) == CARD_OF_MODEL


def test_a_card_of_format_1_gets_the_defaults_of_what_came_later(folder: Path) -> None:
    later = ("shape", "wraps", "protocol_card", "clean", "weights", "versions", "licence")
    card_with(folder, schema=1, **dict.fromkeys(later, ...))
    assert read_card(folder) == CARD_OF_MODEL


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "cannot be read"),
        (b"{", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (b"[" * 100_000, "cannot be read"),
        (b"[]", "is no model card"),
        (b"null", "is no model card"),
        (b"{}", "is no model card"),
    ],
)
def test_a_damaged_card_is_refused(content: bytes, fault: str, folder: Path) -> None:
    (folder / CARD).write_bytes(content)
    refused_card(folder, fault)


def test_a_missing_card_or_folder_is_refused(folder: Path) -> None:
    (folder / CARD).unlink()
    refused_card(folder, f"there is no {CARD}")
    refused_card(folder / "nowhere", "no such folder")
    refused_card(folder / WEIGHTS, "it is a file, expected a folder")


def test_a_card_says_what_it_was_given(folder: Path, small_model: Build) -> None:
    other = replace(CARD_OF_MODEL, bits=12, defense="cgat:weight=2.0", seed=7)
    save_checkpoint(folder.parent / "other", small_model(bits=12), other)
    assert read_card(folder.parent / "other") == other
