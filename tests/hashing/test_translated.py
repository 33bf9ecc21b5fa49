"""State dicts of anybody's network: found by keys, by order and by shapes, or refused in words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.hashing.contract import Backbone
from hashbench.hashing.headed import HeadedBackbone
from hashbench.hashing.model import HashModel
from hashbench.plugins import backbone
from hashbench.zoo.translated import Rename, Translated, translated

BITS, FEATURES = 5, 9
PATH = Path("theirs.pth")
IMAGES = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(3))
SPEC = InputSpec(3, 6, 6, (0.5,) * 3, (0.25,) * 3)
State = dict[str, Tensor]


class Net(nn.Module):
    """A network with names of its own, and batch norm that has seen something."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.block = nn.Sequential(nn.Conv2d(4, 2, 1), nn.Flatten(), nn.Linear(32, FEATURES))

    @override
    def forward(self, images: Tensor) -> Tensor:
        found: Tensor = self.block(self.norm(self.first(images)).relu()).relu()
        return found


@backbone("netlet")
class Netlet(Backbone):
    """A network with names of its own."""

    @override
    def build(self, images: InputSpec) -> BackboneNet:
        return BackboneNet(Net(), FEATURES, images.mean, images.std)


@pytest.fixture
def net() -> Net:
    torch.manual_seed(1)
    return lively(Net())


ModuleT = TypeVar("ModuleT", bound=nn.Module)


def lively(module: ModuleT) -> ModuleT:
    for one in module.modules():
        if isinstance(one, nn.BatchNorm1d | nn.BatchNorm2d):
            assert one.running_mean is not None
            assert one.running_var is not None
            one.running_mean.normal_(std=0.3)
            one.running_var.uniform_(0.5, 2)
            if one.affine:
                nn.init.uniform_(one.weight, 0.5, 1.5)
                nn.init.normal_(one.bias, std=0.3)
    return module.eval()


def linear(inputs: int, outputs: int) -> nn.Linear:
    return nn.Linear(inputs, outputs)


def outline() -> HashModel:
    with torch.device("meta"):
        return HashModel(Netlet().build(SPEC), 1)


def found(
    state: Mapping[str, Tensor], *, rename: Sequence[str] = (), activation: str | None = None
) -> Translated:
    renames = tuple(map(Rename.parse, rename))
    return translated(state, outline(), "netlet", PATH, renames=renames, activation=activation)


def model_of(state: Mapping[str, Tensor], **told: Any) -> HashModel:
    """The model that a state dict is taken for, its weights loaded."""
    one = found(state, **told)
    plugin = HeadedBackbone(Netlet(), one.hidden) if one.hidden else Netlet()
    model = HashModel(plugin.build(SPEC), one.bits)
    wanted = model.state_dict()
    model.load_state_dict({**{k: wanted[k] for k in ("mean", "std")}, **one.state})
    return model.eval()


@torch.no_grad()
def assert_same(model: HashModel, net: nn.Module, head: nn.Module) -> None:
    """Float32: sums of at most 40 products each, in another order where norms are folded."""
    normalised = (IMAGES - 0.5) / 0.25
    torch.testing.assert_close(model.logits(IMAGES), head(net(normalised)), rtol=1e-4, atol=1e-5)


def joined(**parts: nn.Module) -> State:
    """The state dict of a module that has these parts, in this order."""
    return {
        f"{name}.{key}" if name != "_" else key: value
        for name, part in parts.items()
        for key, value in part.state_dict().items()
    }


NAMES = ("fc", "classifier", "head", "hash", "hash_layer", "hash_layer.0", "model.encode.last")
PREFIXES = ("_", "backbone", "encoder.net", "module.model")


@pytest.mark.parametrize(("prefix", "name"), list(itertools.product(PREFIXES, NAMES)))
def test_a_last_layer_of_any_name_under_any_prefix(net: Net, prefix: str, name: str) -> None:
    head = linear(FEATURES, BITS)
    state = joined(**{prefix: net}, **{name: head})
    assert found(state).hash_layer == name
    assert_same(model_of(state), net, head)


@pytest.mark.parametrize("around", ["module.", "_orig_mod.", "a.b.c.", ""])
def test_what_all_keys_share_does_not_matter(net: Net, around: str) -> None:
    head = linear(FEATURES, BITS)
    state = {f"{around}{key}": value for key, value in joined(net=net, fc=head).items()}
    assert_same(model_of(state), net, head)


def test_the_children_in_a_row_are_found_by_their_order(net: Net) -> None:
    head = linear(FEATURES, BITS)
    row = nn.Sequential(*net.children(), nn.Identity())
    assert "0.weight" in row.state_dict()
    assert_same(model_of(joined(features=row, hash=head)), net, head)


def test_a_layer_without_bias_has_a_bias_of_zero(net: Net) -> None:
    head = nn.Linear(FEATURES, BITS, bias=False)
    assert_same(model_of(joined(_=net, fc=head)), net, head)


ROWS: dict[str, tuple[list[nn.Module], str | None]] = {
    "two layers": ([linear(FEATURES, 7), nn.ReLU(), linear(7, BITS)], "relu"),
    "with dropout": ([linear(FEATURES, 7), nn.Tanh(), nn.Dropout(), linear(7, BITS)], "tanh"),
    "norm before the activation": (
        [linear(FEATURES, 7), nn.BatchNorm1d(7), nn.ReLU(), linear(7, BITS)],
        "relu",
    ),
    "norm behind the activation": (
        [linear(FEATURES, 7), nn.GELU(), nn.BatchNorm1d(7), linear(7, BITS)],
        "gelu",
    ),
    "nothing between": ([linear(FEATURES, 7), linear(7, BITS)], "none"),
    "a norm alone between": ([linear(FEATURES, 7), nn.BatchNorm1d(7), linear(7, BITS)], "none"),
    "norm at the end": ([linear(FEATURES, BITS), nn.BatchNorm1d(BITS)], None),
    "norm at the beginning": ([nn.BatchNorm1d(FEATURES), linear(FEATURES, BITS)], None),
    "norm without its own weight": (
        [linear(FEATURES, BITS), nn.BatchNorm1d(BITS, affine=False)],
        None,
    ),
    "three layers": (
        [linear(FEATURES, 7), nn.SiLU(), linear(7, 8), nn.SiLU(), linear(8, BITS)],
        "silu",
    ),
    "all of one size": ([linear(FEATURES, FEATURES), nn.ELU(), linear(FEATURES, FEATURES)], "elu"),
}


@pytest.mark.parametrize("name", ["head", "hash_layer", "model.fc"])
@pytest.mark.parametrize("case", list(ROWS))
def test_heads_of_several_layers(net: Net, case: str, name: str) -> None:
    layers, activation = ROWS[case]
    head = lively(nn.Sequential(*layers))
    state = joined(backbone=net, **{name: head})
    assert_same(model_of(state, activation=activation), net, head)


def test_layers_that_are_in_no_row_are_asked_about(net: Net) -> None:
    one, two = linear(FEATURES, 7), linear(7, BITS)
    state = joined(backbone=net, fc1=one, fc2=two)
    with pytest.raises(
        UsageError, match=r"'fc1' \(9 to 7\), 'fc2' \(7 to 5\).*--activation \(relu"
    ):
        found(state)
    assert_same(model_of(state, activation="none"), net, nn.Sequential(one, two))


class Apart(nn.Module):
    """A head whose activation is called in its forward pass, as a row of modules may be."""

    def __init__(self, names: Sequence[str], layers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(dict(zip(names, layers, strict=True)))

    @override
    def forward(self, given: Tensor) -> Tensor:
        first, *others = self.layers.values()
        found: Tensor = first(given).relu()
        for layer in others:
            found = layer(found)
        return found


@pytest.mark.parametrize("names", [("0", "1"), ("fc1", "fc2")])
def test_an_activation_that_is_called_from_outside_is_asked_about(
    net: Net, names: tuple[str, ...]
) -> None:
    head = Apart(names, [linear(FEATURES, 7), linear(7, BITS)])
    state = joined(backbone=net, head=head)
    with pytest.raises(UsageError, match=r"its head is .*--activation \(relu"):
        found(state)
    assert_same(model_of(state, activation="relu"), net, head)


@pytest.mark.parametrize("names", [("0", "1", "2"), ("fc1", "bn1", "fc2")])
def test_a_norm_whose_side_no_file_tells_is_refused(net: Net, names: tuple[str, ...]) -> None:
    head = lively(Apart(names, [linear(FEATURES, 7), nn.BatchNorm1d(7), linear(7, BITS)]))
    state = joined(backbone=net, head=head)
    for activation in (None, "relu"):
        with pytest.raises(
            UsageError, match=r"(1|bn1)' lies before an activation or behind it: import the whole"
        ):
            found(state, activation=activation)
    linear_alone = nn.Sequential(*head.layers.children()).eval()
    assert_same(model_of(state, activation="none"), net, linear_alone)


def test_a_norm_between_two_free_places_is_refused(net: Net) -> None:
    """Dropout, norm, activation; or activation, norm, dropout."""
    layers = [linear(FEATURES, 7), nn.Dropout(), nn.BatchNorm1d(7), nn.ReLU(), linear(7, BITS)]
    state = joined(backbone=net, head=lively(nn.Sequential(*layers)))
    with pytest.raises(UsageError, match=r"'head\.2' lies before an activation or behind it"):
        found(state, activation="relu")


def test_an_activation_between_some_layers_alone_is_refused(net: Net) -> None:
    layers = [linear(FEATURES, 7), linear(7, 8), nn.ReLU(), linear(8, BITS)]
    state = joined(backbone=net, head=nn.Sequential(*layers))
    with pytest.raises(UsageError, match="no state dict tells where relu lies: import the whole"):
        found(state, activation="relu")


def test_a_classifier_behind_the_codes_is_left_out_once_they_are_named(net: Net) -> None:
    """GreedyHash, DSDH, CSQ's variants: codes, and a classifier that reads them."""
    codes, classes, side = linear(FEATURES, BITS), linear(BITS, 3), linear(FEATURES, 10)
    state = joined(backbone=net, code=codes, out=classes)
    one = found(state, rename=("code=hash_layer",))
    assert one.left_out == ("out",)
    assert_same(model_of(state, rename=("code=hash_layer",)), net, codes)
    with_side = joined(backbone=net, hash_layer=codes, imagenet=side)
    assert found(with_side).left_out == ("imagenet",)
    assert_same(model_of(with_side), net, codes)


def test_renames_reach_network_and_head(net: Net) -> None:
    """Two copies of the network: the one that is meant is named."""
    torch.manual_seed(2)
    head, other = linear(FEATURES, BITS), lively(Net())
    state = joined(student=net, teacher=other, fc=head)
    with pytest.raises(UsageError, match=r"2 times, after 'student.', 'teacher.'.*=backbone"):
        found(state)
    assert_same(model_of(state, rename=("teacher=backbone",)), other, head)
    assert_same(model_of(state, rename=("student=backbone", "fc=hash_layer")), net, head)
    under = {f"module.{key}": value for key, value in state.items()}
    for rename in (("teacher=backbone",), ("module.teacher=backbone",)):
        assert_same(model_of(under, rename=rename), other, head)


def test_mean_and_deviation_in_the_file_are_taken(net: Net) -> None:
    state = joined(backbone=net, fc=linear(FEATURES, BITS))
    state |= {"norm.mean": torch.full((1, 3, 1, 1), 0.4), "norm.std": torch.full((1, 3, 1, 1), 0.2)}
    one = found(state)
    assert one.normalisation is not None
    torch.testing.assert_close(one.normalisation[0], torch.full((3,), 0.4))
    state["norm.mean"] = torch.full((1, 3, 1, 1), 123.7)
    with pytest.raises(UsageError, match="no mean and deviation of pixels from 0 to 1"):
        found(state)


def _set(state: State, key: str, value: Tensor) -> State:
    return {**state, key: value}


def _without(state: State, key: str) -> State:
    return {name: value for name, value in state.items() if name != key}


FAULTS: dict[str, tuple[Callable[[State], State], str]] = {
    "no head": (lambda s: {k: v for k, v in s.items() if "fc" not in k}, "no linear layer beside"),
    "head of another network": (
        lambda s: _set(s, "fc.weight", torch.zeros(BITS, 8)),
        r"takes its 9 features; it has 'fc' \(8 to 5\)",
    ),
    "two heads": (
        lambda s: _set(s, "fc2.weight", torch.zeros(4, FEATURES)),
        r"cannot be told: .*--rename fc2=hash_layer",
    ),
    "another tensor": (lambda s: _set(s, "scale", torch.zeros(1)), "'scale' is not known"),
    "a layer that nothing feeds": (
        lambda s: _set(
            _set(s, "hash_layer.weight", torch.zeros(3, 9)), "x.weight", torch.ones(2, 77)
        ),
        "'x' takes 77 values, which nothing gives",
    ),
    "a bias of another size": (
        lambda s: _set(s, "fc.bias", torch.zeros(4)),
        "'fc.weight' is not known; 'fc.bias' is not known",
    ),
    "a norm of another size": (
        lambda s: {**s, "n.running_mean": torch.zeros(4), "n.running_var": torch.ones(4)},
        "norm 'n' has 4 values, where the layer before it gives 5",
    ),
    "too many bits": (
        lambda s: {**_without(s, "fc.bias"), "fc.weight": torch.zeros(513, FEATURES)},
        "gives 513 bits, expected 1 to 512",
    ),
    "another network": (
        lambda _: {"a.weight": torch.zeros(3, 3)},
        r"no checkpoint of netlet: it has 1 key \('a.weight'\), expected the 11 keys",
    ),
}


@pytest.mark.parametrize("case", list(FAULTS))
def test_what_does_not_fit_is_said(net: Net, case: str) -> None:
    change, said = FAULTS[case]
    with pytest.raises(UsageError, match=said) as refusal:
        found(change(joined(backbone=net, fc=linear(FEATURES, BITS))))
    assert str(PATH) in str(refusal.value)
    assert "'first.weight'" in str(refusal.value) or case == "too many bits", "expected keys"


@pytest.mark.parametrize(
    ("rename", "said"),
    [
        (("nothing=hash_layer",), "no key begins with 'nothing'; it has"),
        (("fc=backbone.first",), "two keys would be called 'backbone.first.weight'"),
        (("f=hash_layer",), "no key begins with 'f'"),
        (("fc",), "expected OLD=NEW"),
        (("=x",), "expected OLD=NEW"),
        (("fc=",), "expected OLD=NEW"),
    ],
)
def test_renames_that_do_nothing_are_refused(net: Net, rename: tuple[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        found(joined(backbone=net, fc=linear(FEATURES, BITS)), rename=rename)
