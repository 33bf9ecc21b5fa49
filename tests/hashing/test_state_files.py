"""Files of state dicts: found under any wrapper by rule, told by their content, bounded by it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import resnet18

from hashbench.errors import UsageError
from hashbench.hashing.state_dict import fitted, is_finite, is_sound, read_state
from hashbench.hashing.weights.pickled import described
from hashbench.zoo.foreign import bits_of, read_foreign

State = dict[str, Tensor]


@pytest.fixture(scope="module")
def resnet() -> State:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = resnet18()
    state = {name: value for name, value in net.state_dict().items() if not name.startswith("fc.")}
    hash_layer = nn.Linear(512, 12).state_dict()
    return state | {f"hash_layer.{name}": value for name, value in hash_layer.items()}


def prefixed(prefix: str) -> Callable[[State], object]:
    return lambda state: {f"{prefix}{name}": value for name, value in state.items()}


def optimizer_state() -> dict[str, Any]:
    layer = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(layer.parameters())
    layer(torch.zeros(1, 3)).sum().backward()
    optimizer.step()
    return optimizer.state_dict()


WRAPPERS: dict[str, Callable[[State], object]] = {
    "plain": lambda state: state,
    "_orig_mod.": prefixed("_orig_mod."),
    "module._orig_mod.": prefixed("module._orig_mod."),
    "_orig_mod.module.": prefixed("_orig_mod.module."),
    "net.": prefixed("net."),
    "encoder.": prefixed("encoder."),
    "a.b.c.d.": prefixed("a.b.c.d."),
    "model": lambda state: {"model": state, "epoch": 3},
    "model_state_dict": lambda state: {"model_state_dict": state, "loss": 0.1, "name": "x"},
    "net": lambda state: {"net": state},
    "deep": lambda state: {"a": {"b": {"whatever": state}}, "c": {"d": [1, 2]}},
    "beside an optimiser": lambda state: {"weights": state, "optim": optimizer_state()},
    "beside scores": lambda state: {
        "state_dict": prefixed("model.")(state),
        "best": {"a.ckpt": torch.tensor(0.3), "b.ckpt": torch.tensor(0.2)},
    },
    "under two names": lambda state: {"model": state, "net": state},
    "parameters": lambda state: {
        name: nn.Parameter(value) if value.is_floating_point() else value
        for name, value in state.items()
    },
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("case", WRAPPERS)
def test_a_wrapper_comes_off_whatever_its_name(
    case: str, legacy: bool, resnet: State, tmp_path: Path
) -> None:
    path = tmp_path / "w.pth"
    torch.save(WRAPPERS[case](resnet), path, _use_new_zipfile_serialization=not legacy)
    found = read_foreign(path, "resnet18")
    assert bits_of(found) == 12
    assert len(found) == len(resnet)
    assert torch.equal(found["backbone.layer4.1.bn2.bias"], resnet["layer4.1.bn2.bias"])
    assert torch.equal(found["hash_layer.weight"], resnet["hash_layer.weight"])


def test_two_state_dicts_are_named_and_refused(resnet: State, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    for content in (
        {"model": resnet, "ema": dict(resnet)},
        {"model": resnet, "old": {"ema": {"a": torch.zeros(1)}}},
    ):
        torch.save(content, path)
        with pytest.raises(UsageError, match=r"2 state dicts, 'model' \(122 tensors\).*ema'"):
            read_foreign(path, "resnet18")


def test_keys_of_another_network_are_told_beside_the_wanted(resnet: State, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    torch.save({f"blocks.{place}.x": torch.zeros(1) for place in range(7)}, path)
    with pytest.raises(UsageError, match=r"it has 7 keys \('blocks\.0\.x', .*expected 'conv1"):
        read_foreign(path, "resnet18")
    wanted = {name: value for name, value in resnet.items() if not name.startswith("hash")}
    with pytest.raises(UsageError, match=r"it has 7 keys \('0\.x'.*120 keys \('conv1\.weight'"):
        fitted(read_state(path), wanted, "this")


@pytest.mark.parametrize("ours", ["", "features.", "a.b."])
@pytest.mark.parametrize("theirs", ["", "features.", "a.b.", "module.features."])
def test_a_common_prefix_of_either_side_does_not_matter(
    ours: str, theirs: str, tmp_path: Path
) -> None:
    state = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).state_dict()
    torch.save(prefixed(theirs)(dict(state)), tmp_path / "w.pth")
    wanted = {f"{ours}{name}": value for name, value in state.items()}
    found = fitted(read_state(tmp_path / "w.pth"), wanted, "this")
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], value) for name, value in wanted.items())


def page(path: Path) -> None:
    path.write_text("\n<!DOCTYPE html>\n<html><body>Sign in</body></html>")


def cut(path: Path) -> None:
    torch.save({"a.weight": torch.zeros(1000)}, path)
    path.write_bytes(path.read_bytes()[:-100])


def deflated(path: Path) -> None:
    torch.save({"a.weight": torch.zeros(1000)}, path)
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)


LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 46830571\n"
SORTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "page": (page, "it is an HTML or XML page .*Fetch the file again"),
    "text": (lambda path: path.write_text("404: Not Found\n"), "it is text"),
    "git-lfs": (lambda path: path.write_text(LFS), "git-lfs, not the file: fetch it with 'git lfs"),
    "empty": (lambda path: path.write_bytes(b""), "it is empty"),
    "zeros": (lambda path: path.write_bytes(bytes(5000)), "nothing but zeros"),
    "safetensors": (
        lambda path: save_file({"a": torch.zeros(1)}, path),
        r"it is a safetensors file: give it the ending \.safetensors",
    ),
    "cut": (cut, "a zip archive that is cut off"),
    "packed": (deflated, "is compressed or encrypted"),
    "whole model": (lambda path: torch.save(nn.Linear(2, 2), path), "linear.Linear': a whole"),
    "pickle": (lambda path: path.write_bytes(b"(dp0\n."), "a pickle that torch.save did not"),
    "script": (
        lambda path: torch.jit.script(nn.Linear(2, 2)).save(str(path)),
        "a TorchScript program",
    ),
    "pipe": (lambda path: os.mkfifo(path), "it is a named pipe"),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("case", SORTS)
def test_a_file_of_another_kind_is_told_as_such(case: str, tmp_path: Path) -> None:
    make, fault = SORTS[case]
    path = tmp_path / "w.pth"
    make(path)
    with pytest.raises(UsageError, match=fault) as refusal:
        read_state(path)
    text = str(refusal.value)
    assert text.startswith(f"weights {path} cannot be read: ")
    assert "weights_only" not in text
    assert "\n" not in text


@pytest.mark.parametrize("legacy", [False, True])
def test_every_layout_of_a_tensor_is_read_equal(legacy: bool, tmp_path: Path) -> None:
    whole = torch.randn(6, 8)
    state = {
        "n.whole": whole,
        "n.turned": whole.t(),
        "n.part": whole[2:5, 1:7:2],
        "n.column": whole[:, 3],
        "n.single": whole[1, 1],
        "n.nothing": whole[:0],
        "n.repeated": whole[:1].expand(5, 8),
        "n.last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "n.count": torch.tensor(7),
        "n.mask": torch.tensor([True, False, True]),
        "n.half": torch.randn(3).half(),
        "n.brain": torch.randn(3).bfloat16(),
        "n.double": torch.randn(3).double(),
        "n.bytes": torch.arange(5, dtype=torch.uint8),
    }
    torch.save(state, tmp_path / "w.pth", _use_new_zipfile_serialization=not legacy)
    found = read_state(tmp_path / "w.pth")
    assert len(found) == len(state)
    for name, value in state.items():
        assert found[name.removeprefix("n.")].dtype == value.dtype
        assert torch.equal(found[name.removeprefix("n.")], value), name


def test_a_claim_beyond_the_file_is_refused_by_its_shape(tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    for value in (
        torch.zeros(1).expand(40_000, 40_000),
        torch.zeros(80_000).as_strided((40_000, 40_000), (1, 1)),
    ):
        torch.save({"hash_layer.weight": value, "hash_layer.bias": torch.zeros(3)}, path)
        with pytest.raises(UsageError, match=r"claim 6,400,000,012 bytes.*\(40000, 40000\)"):
            read_foreign(path, "alexnet")


def test_shapes_are_held_against_the_network_before_values(tmp_path: Path) -> None:
    # Small enough to be believed; its NaN is not what the sentence is about.
    torch.save({"x.weight": torch.full((1, 1), torch.nan).expand(50, 3)}, tmp_path / "w.pth")
    with pytest.raises(UsageError, match=r"has shape \(50, 3\), expected \(2, 3\)"):
        fitted(read_state(tmp_path / "w.pth"), {"weight": torch.zeros(2, 3)}, "this")


def test_nothing_is_computed_by_what_a_pickle_says(tmp_path: Path) -> None:
    # The reader's machine has no way to import or to call: it knows names as texts alone.
    mark = tmp_path / "mark"
    program = b"\x80\x02cos\nmkdir\nX" + len(str(mark)).to_bytes(4, "little") + str(mark).encode()
    (tmp_path / "p").write_bytes(program + b"\x85R.")
    with (tmp_path / "p").open("rb") as file, pytest.raises(ValueError, match=r"'os\.mkdir'"):
        described(file)
    assert not mark.exists()


def test_values_are_sound_where_they_are_finite_or_were_never_meant_to_be() -> None:
    low, nan = torch.tensor([1.0, -torch.inf]), torch.tensor([torch.nan, 1.0])
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64):
        assert is_finite(torch.ones(2, dtype=dtype))
        assert not is_finite(nan.to(dtype))
    assert not is_finite(nan.to(torch.float8_e5m2))
    assert is_finite(torch.tensor([2**62]))
    assert is_finite(torch.zeros(0))
    assert is_sound(low, torch.tensor([0.0, -torch.inf]))
    assert not is_sound(low, torch.tensor([-torch.inf, 0.0]))
    assert not is_sound(nan, torch.zeros(2))


@pytest.mark.parametrize("rows", [0, 513, 10**6])
def test_a_hash_layer_of_more_bits_than_codes_have_is_refused(rows: int) -> None:
    with pytest.raises(UsageError, match=f"gives {rows:,} bits, expected 1 to 512"):
        bits_of({"hash_layer.weight": torch.zeros(1, 3).expand(rows, 3)})
