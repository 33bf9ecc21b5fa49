"""What scripts save beside a state dict or in its place: passed over, taken, refused, never run."""

from __future__ import annotations

import argparse
import collections
import dataclasses
import enum
import fractions
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hashbench.errors import UsageError
from hashbench.hashing.state_dict import read_state
from support.bomb import Bomb


@dataclasses.dataclass
class Config:
    """A class that no reader of the file has to have."""

    rate: float = 0.1

    def __setstate__(self, state: object) -> None:
        raise AssertionError("an object was built")


class Options(dict[str, Any]):
    """As EasyDict, CfgNode, ConfigDict are."""


class Mode(enum.Enum):
    A = 1


STATE = {"a.weight": torch.arange(6.0).view(2, 3), "b.bias": torch.ones(2)}

BESIDE: dict[str, Any] = {
    "float64": np.float64(0.3),
    "float32": np.float32(0.3),
    "integer": np.int64(3),
    "boolean": np.bool_(True),
    "text": np.str_("x"),
    "array": np.arange(5.0),
    "array of objects": np.array([1, "a", None], dtype=object),
    "array of records": np.zeros(3, dtype=[("a", "f4")]),
    "state of a generator": np.random.RandomState(0).get_state(),
    "dict of arrays": {"mean": np.zeros(3), "std": np.ones(3)},
    "Namespace": argparse.Namespace(lr=0.1, eps=np.float32(2)),
    "SimpleNamespace": types.SimpleNamespace(lr=0.1),
    "dataclass": Config(),
    "dict of a class": Options(lr=0.1),
    "a class itself": Config,
    "path": Path("a/b"),
    "fraction": fractions.Fraction(1, 3),
    "deque": collections.deque([1, 2]),
    "range": range(3),
}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("case", list(BESIDE))
def test_data_beside_a_state_dict_are_passed_over(
    case: str, legacy: bool, protocol: int, tmp_path: Path
) -> None:
    path = tmp_path / "w.pth"
    content = {"args": BESIDE[case], "state_dict": STATE, "best": [BESIDE[case]]}
    torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=not legacy)
    found = read_state(path)
    assert {name: value.tolist() for name, value in found.items()} == {
        name: value.tolist() for name, value in STATE.items()
    }


def test_calls_are_refused_and_never_made(tmp_path: Path) -> None:
    mark = tmp_path / "the bomb went off"
    for one in (Bomb(mark), Mode.A, torch.relu, [Config(), Bomb(mark)]):
        torch.save({"state_dict": STATE, "x": one}, tmp_path / "w.pth")
        with pytest.raises(UsageError, match=r"more than tensors .* could run any code"):
            read_state(tmp_path / "w.pth")
        assert not mark.exists()


@pytest.mark.parametrize("content", [torch.nn.Linear(2, 3), {"model": torch.nn.Linear(2, 3)}])
def test_a_whole_model_is_none_though_its_class_is_passed_over(
    content: object, tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UsageError, match=r"'torch\.nn\.modules\.linear\.Linear': a whole"):
        read_state(tmp_path / "w.pth")


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize(
    "kind", ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "b1", ">f4", ">i8"]
)
def test_arrays_of_numpy_are_taken_for_weights(kind: str, protocol: int, tmp_path: Path) -> None:
    values = np.arange(-3, 9).reshape(3, 4) if kind != "u1" else np.arange(12).reshape(3, 4)
    arrays: dict[str, Any] = {
        "a.rows": values.astype(kind),
        "a.columns": np.asfortranarray(values.astype(kind)),
        "b.part": values.astype(kind)[::2, 1:],
        "b.one": values.astype(kind)[:1, 0],
        "c.count": np.array(7).astype(kind),
        "c.tensor": torch.ones(2),
    }
    torch.save({"model": arrays, "epoch": 3}, tmp_path / "w.pth", pickle_protocol=protocol)
    found = read_state(tmp_path / "w.pth")
    for name, value in arrays.items():
        assert tuple(found[name].shape) == tuple(value.shape)
        assert found[name].tolist() == value.tolist()


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.array([None, 1], dtype=object), "'a.x' is an array of numpy of the type O"),
        (np.zeros(2, dtype="U3"), "of the type U3"),
        (np.zeros(2, dtype="M8[s]"), "of the type M8"),
        (np.zeros(2, dtype=[("a", "f4")]), "of the type V4"),
        (np.zeros(2, dtype="c8"), "of the type c8"),
    ],
)
def test_arrays_of_anything_else_are_refused(array: Any, said: str, tmp_path: Path) -> None:
    torch.save({"a.x": array, "a.y": np.ones(3)}, tmp_path / "w.pth")
    with pytest.raises(UsageError, match=said):
        read_state(tmp_path / "w.pth")
