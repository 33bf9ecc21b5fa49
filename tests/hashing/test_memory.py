"""What a state dict may hold is saved by its values and loads back equal, or is refused at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from hashbench.errors import UsageError
from hashbench.hashing import BackboneNet, HashModel
from hashbench.hashing.checkpoint import ModelCard, load_checkpoint, save_checkpoint
from hashbench.hashing.memory import own_memory, refuse_unsavable

CARD = ModelCard(
    backbone="b", bits=4, loss="csq", defense="none", dataset="d", protocol="0" * 64, seed=0
)
FEATURES = 6


class Net(nn.Module):
    """A layer, and whatever a case puts beside it."""

    def __init__(self, change: Callable[[Net], object]) -> None:
        super().__init__()
        self.first = nn.Linear(FEATURES, FEATURES)
        self.second = nn.Linear(FEATURES, FEATURES)
        change(self)

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.second(self.first(images.flatten(1)[:, :FEATURES]))
        return features


def model_with(change: Callable[[Net], object], seed: int = 0) -> HashModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = BackboneNet(Net(change), FEATURES, (0.5,) * 3, (0.2,) * 3)
        return HashModel(net, 4).eval()


def tie(net: Net) -> None:
    net.second.weight = net.first.weight


def alias(net: Net) -> None:
    net.alias = net.first


def buffer(value: Tensor) -> Callable[[Net], None]:
    return lambda net: net.register_buffer("kept", value.clone())


def parameter(value: Callable[[], Tensor]) -> Callable[[Net], None]:
    return lambda net: net.register_parameter("free", nn.Parameter(value()))


def of_type(dtype: torch.dtype) -> Callable[[Net], None]:
    return lambda net: net.register_buffer("kept", torch.ones(3, 2).to(dtype))


def view(net: Net) -> None:
    flat = torch.randn(20)
    net.register_buffer("flat", flat)
    net.register_buffer("part", flat[3:9].view(2, 3))
    net.register_buffer("other", flat[5:12])


def parametrized(net: Net) -> None:
    parametrizations.weight_norm(net.first)
    parametrizations.spectral_norm(net.second)


def old_norms(net: Net) -> None:
    weight_norm(net.first)
    spectral_norm(net.second)


def mask(net: Net) -> None:
    net.register_buffer("mask", torch.full((4, 4), -torch.inf).triu(1))


class Counted(nn.Module):
    """Keeps a tensor that is neither parameter nor buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.count = torch.tensor([3.0, 4.0])

    def get_extra_state(self) -> Any:
        return self.count

    def set_extra_state(self, state: Any) -> None:
        self.count = state.clone()


def counted(net: Net) -> None:
    net.counted = Counted()


SAVED: dict[str, Callable[[Net], object]] = {
    "tied": tie,
    "tied bias": lambda net: setattr(net.second, "bias", net.first.bias),
    "one module under two names": alias,
    "expanded buffer": lambda net: net.register_buffer("kept", torch.rand(1).expand(5)),
    "expanded parameter": parameter(lambda: torch.rand(3, 1).expand(3, 4)),
    "transposed": parameter(lambda: torch.randn(3, 5).t()),
    "every other": lambda net: net.register_buffer("kept", torch.randn(10)[::2]),
    "channels last": parameter(
        lambda: torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    ),
    "channels last 3d": parameter(
        lambda: torch.randn(2, 3, 4, 5, 2).to(memory_format=torch.channels_last_3d)
    ),
    "windows": lambda net: net.register_buffer("kept", torch.randn(8).as_strided((3, 4), (2, 1))),
    "no dimension": parameter(lambda: torch.tensor(2.5)),
    "nothing": lambda net: net.register_buffer("kept", torch.zeros(0, 7)),
    "views of one buffer": view,
    "parametrized": parametrized,
    "norms of old": old_norms,
    "an unset buffer": lambda net: net.register_buffer("kept", None),
    "a buffer that is not kept": lambda net: net.register_buffer(
        "kept", torch.randn(3), persistent=False
    ),
    "a mask": mask,
    "extra state": counted,
    "negative": lambda net: net.register_buffer("kept", torch._neg_view(torch.randn(4))),
    "no gradient": lambda net: net.first.requires_grad_(False),
    **{
        str(dtype): of_type(dtype)
        for dtype in (
            *(torch.float64, torch.float16, torch.bfloat16, torch.bool, torch.uint8, torch.int8),
            *(torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32, torch.uint64),
            *(torch.float8_e4m3fn, torch.float8_e5m2, torch.complex64),
        )
    },
}


@pytest.mark.parametrize("case", SAVED)
def test_every_layout_loads_back_equal(case: str, tmp_path: Path) -> None:
    model = model_with(SAVED[case])
    own_memory(model)
    step(model)
    save_checkpoint(tmp_path / "model", model, CARD)
    loaded = load_checkpoint(tmp_path / "model", model_with(SAVED[case], seed=1))
    assert loaded.state_dict().keys() == model.state_dict().keys()
    for name, value in model.state_dict().items():
        found = loaded.state_dict()[name]
        assert found.dtype == value.dtype, name
        assert torch.equal(found, value), name
    images = torch.rand(3, 3, 4, 4)
    assert torch.equal(loaded.outputs(images), model.outputs(images))
    # The same bytes again: nothing hangs on where tensors lie.
    save_checkpoint(tmp_path / "again", loaded, CARD)
    names = ("model", "again")
    one, two = ((tmp_path / name / "weights.safetensors").read_bytes() for name in names)
    assert one == two


def step(model: HashModel) -> None:
    """One step of a training."""
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    model.outputs(torch.rand(5, 3, 4, 4)).square().mean().backward()
    for free in model.parameters():
        if free.grad is None and free.requires_grad:
            free.grad = torch.ones_like(free)
    optimizer.step()
    model.eval()


@pytest.mark.parametrize("case", ["tied", "one module under two names"])
def test_what_is_tied_stays_tied(case: str, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "model", model_with(SAVED[case]), CARD)
    loaded = load_checkpoint(tmp_path / "model", model_with(SAVED[case], seed=1))
    net: Any = loaded.backbone
    twin = net.second if case == "tied" else net.alias
    assert twin.weight is net.first.weight


class Late(Net):
    """Sets a buffer when it is used first."""

    kept: Tensor | None

    def __init__(self) -> None:
        super().__init__(lambda net: net.register_buffer("kept", None))

    def forward(self, images: Tensor) -> Tensor:
        self.kept = torch.arange(3.0)
        return super().forward(images)


def test_a_buffer_that_is_set_in_training_is_loaded(tmp_path: Path) -> None:
    def build() -> HashModel:
        return HashModel(BackboneNet(Late(), FEATURES, (0.5,) * 3, (0.2,) * 3), 4).eval()

    model = build()
    step(model)
    save_checkpoint(tmp_path / "model", model, CARD)
    loaded: Any = load_checkpoint(tmp_path / "model", build()).backbone
    assert torch.equal(loaded.kept, torch.arange(3.0))


def state(value: object) -> Callable[[Net], None]:
    def change(net: Net) -> None:
        counted(net)
        net.counted.count = value  # type: ignore[union-attr]

    return change


REFUSED: dict[str, tuple[Callable[[Net], object], str]] = {
    "lazy": (
        lambda net: setattr(net, "lazy", nn.LazyLinear(3)),
        r"'backbone\.lazy\.weight' cannot be saved: it has no shape before",
    ),
    "lazy buffer": (
        lambda net: setattr(net, "lazy", nn.LazyBatchNorm1d()),
        r"'backbone\.lazy\.\w+' cannot be saved: it has no shape before",
    ),
    "extra state of numbers": (
        state({"count": 3}),
        r"'backbone\.counted\._extra_state' cannot be saved: it is a value of type dict",
    ),
    "extra state of None": (state(None), "a value of type NoneType"),
    "sparse": (
        lambda net: net.register_buffer("kept", torch.eye(3).to_sparse()),
        r"'backbone\.kept' cannot be saved: it is no plain tensor \(sparse_coo\)",
    ),
    "quantized": (
        lambda net: net.register_buffer(
            "kept", torch.quantize_per_tensor(torch.eye(2), 0.1, 0, torch.quint8)
        ),
        r"no plain tensor \(quantized\)",
    ),
    "nested": (
        lambda net: net.register_buffer(
            "kept", torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])
        ),
        r"no plain tensor \(nested\)",
    ),
    "meta": (
        lambda net: net.register_buffer("kept", torch.zeros(3, device="meta")),
        "it has no values",
    ),
    "complex128": (
        lambda net: net.register_buffer("kept", torch.zeros(3, dtype=torch.complex128)),
        "of the type complex128; convert it",
    ),
}


@pytest.mark.filterwarnings("ignore:.*(Lazy|quantize|nested tensors)")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_saved_is_refused_by_name(case: str, tmp_path: Path) -> None:
    change, fault = REFUSED[case]
    model = model_with(change)
    for save in (refuse_unsavable, lambda one: save_checkpoint(tmp_path / "model", one, CARD)):
        with pytest.raises(UsageError, match=fault) as refusal:
            save(model)
        assert "\n" not in str(refusal.value)
    assert not (tmp_path / "model" / "weights.safetensors").exists()


def test_two_values_of_one_tensor_are_refused(tmp_path: Path) -> None:
    free = model_with(lambda _: None)
    one, two = (free.state_dict()[f"backbone.{name}.weight"] for name in ("first", "second"))
    assert not torch.equal(one, two)
    save_checkpoint(tmp_path / "model", free, CARD)
    with pytest.raises(UsageError, match=r"first\.weight' and .*second\.weight' are one tensor"):
        load_checkpoint(tmp_path / "model", model_with(tie))


def test_an_infinity_where_the_network_has_none_is_refused(tmp_path: Path) -> None:
    model = model_with(mask)
    model.get_buffer("backbone.mask")[2, 1] = torch.inf
    save_checkpoint(tmp_path / "model", model, CARD)
    with pytest.raises(UsageError, match=r"'backbone\.mask' holds values that are not finite"):
        load_checkpoint(tmp_path / "model", model_with(mask))
