"""Other people's checkpoints: each layout, built here, gives the same outputs in our model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from hashbench.errors import UsageError
from hashbench.hashing import BackboneNet, HashModel, InputSpec
from hashbench.hashing.backbones import torchvision as torchvision_nets
from hashbench.hashing.backbones.pretrained import cut
from hashbench.hashing.checkpoint import ModelCard
from hashbench.hashing.state_dict import fitted, read_state
from hashbench.plugins import Backbone
from hashbench.zoo.foreign import bits_of, load_foreign, read_foreign
from support.bomb import Bomb

BITS = 12
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
State = dict[str, Tensor]


class Foreign(nn.Module):
    """What all of their models do; mean and deviation are plain tensors, no buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.tensor(MEAN).view(-1, 1, 1)
        self.std = torch.tensor(STD).view(-1, 1, 1)

    def z(self, normalised: Tensor) -> Tensor:
        raise NotImplementedError

    def forward(self, images: Tensor, alpha: float = 1.0) -> Tensor:
        return torch.tanh(alpha * self.z((images - self.mean) / self.std))


class TheirAlexNet(Foreign):
    """CgAT and SAAT: the hash layer is the classifier's last."""

    def __init__(self, base: Any, bits: int) -> None:
        super().__init__()
        self.features = base.features
        cl1, cl2 = base.classifier[1], base.classifier[4]
        self.classifier = nn.Sequential(
            nn.Dropout(),
            cl1,
            nn.ReLU(inplace=True),
            nn.Dropout(),
            cl2,
            nn.ReLU(inplace=True),
            nn.Linear(cl2.out_features, bits),
        )

    def z(self, normalised: Tensor) -> Tensor:
        found: Tensor = self.classifier(self.features(normalised).flatten(1))
        return found


class TheirVGG(Foreign):
    """CgAT's; SAAT's registers the first layer once more."""

    def __init__(self, base: Any, bits: int, twice: bool = False) -> None:
        super().__init__()
        self.features = base.features
        cl1, cl2 = base.classifier[0], base.classifier[3]
        if twice:
            self.cl1 = cl1
        self.classifier = nn.Sequential(
            cl1,
            nn.ReLU(inplace=True),
            nn.Dropout(),
            cl2,
            nn.ReLU(inplace=True),
            nn.Dropout(),
            nn.Linear(cl2.out_features, bits),
        )

    def z(self, normalised: Tensor) -> Tensor:
        found: Tensor = self.classifier(self.features(normalised).flatten(1))
        return found


class TheirResNet(Foreign):
    """Both repositories: every stage is registered by name and by place."""

    def __init__(self, base: Any, bits: int) -> None:
        super().__init__()
        self.conv1, self.bn1, self.relu, self.maxpool = (
            base.conv1,
            base.bn1,
            base.relu,
            base.maxpool,
        )
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            base.layer1,
            base.layer2,
            base.layer3,
            base.layer4,
        )
        self.avgpool = base.avgpool
        self.feature_layers = nn.Sequential(
            self.conv1,
            self.bn1,
            self.relu,
            self.maxpool,
            self.layer1,
            self.layer2,
            self.layer3,
            self.layer4,
            self.avgpool,
        )
        self.hash_layer = nn.Linear(base.fc.in_features, bits)

    def z(self, normalised: Tensor) -> Tensor:
        found: Tensor = self.hash_layer(self.feature_layers(normalised).flatten(1))
        return found


class TheirDenseNet(Foreign):
    """CgAT's, which keeps ImageNet's classifier without using it."""

    def __init__(self, base: Any, bits: int) -> None:
        super().__init__()
        self.features, self.classifier = base.features, base.classifier
        self.feature_layers = nn.Sequential(
            self.features, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)
        )
        self.hash_layer = nn.Linear(base.classifier.in_features, bits)

    def z(self, normalised: Tensor) -> Tensor:
        found: Tensor = self.hash_layer(self.feature_layers(normalised).flatten(1))
        return found


class TheirFc(Foreign):
    """HashNet's AlexNetFc and VGGFc: six layers of the classifier under names of their own."""

    def __init__(self, base: Any, bits: int) -> None:
        super().__init__()
        self.features = base.features
        self.classifier = nn.Sequential()
        for place in range(6):
            self.classifier.add_module(f"classifier{place}", base.classifier[place])
        self.feature_layers = nn.Sequential(self.features, self.classifier)
        self.hash_layer = nn.Linear(base.classifier[6].in_features, bits)

    def z(self, normalised: Tensor) -> Tensor:
        features = self.classifier(self.features(normalised).flatten(1))
        found: Tensor = self.hash_layer(features)
        return found


class TinyAlexNet(nn.Module):
    """AlexNet's modules, with a few numbers in them."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 2, 1))
        self.classifier = nn.Sequential(
            nn.Dropout(),
            nn.Linear(18, 8),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(8, 5),
            nn.ReLU(),
            nn.Linear(5, 10),
        )

    def forward(self, normalised: Tensor) -> Tensor:
        found: Tensor = self.classifier(self.features(normalised).flatten(1))
        return found


class TinyVGG(nn.Module):
    """VGG's modules with batch norm, with a few numbers in them."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 2, 3, stride=2), nn.BatchNorm2d(2), nn.ReLU())
        self.classifier = nn.Sequential(
            nn.Linear(18, 8),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(8, 5),
            nn.ReLU(),
            nn.Dropout(),
            nn.Linear(5, 10),
        )

    def forward(self, normalised: Tensor) -> Tensor:
        found: Tensor = self.classifier(self.features(normalised).flatten(1))
        return found


def ours(base: nn.Module, features: int, head: str, bits: int = BITS) -> HashModel:
    cut(base, head)
    return HashModel(BackboneNet(base, features, MEAN, STD), bits).eval()


def lively(model: nn.Module) -> nn.Module:
    """Batch norm that has seen something: its statistics are part of what must be carried over."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
    return model.eval()


@pytest.fixture
def tiny_alexnet() -> tuple[Foreign, HashModel]:
    torch.manual_seed(0)
    theirs = TheirAlexNet(TinyAlexNet(), BITS)
    torch.manual_seed(1)
    return theirs.eval(), ours(TinyAlexNet(), 5, "classifier.6")


@pytest.fixture
def tiny_vgg() -> tuple[Foreign, HashModel]:
    torch.manual_seed(0)
    theirs = TheirVGG(TinyVGG(), BITS, twice=True)
    lively(theirs)
    torch.manual_seed(1)
    return theirs.eval(), ours(TinyVGG(), 5, "classifier.6")


@torch.no_grad()
def assert_same(theirs: Foreign, model: HashModel, side: int) -> None:
    images = torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(5))
    for alpha in (0.1, 1.0):
        wanted = theirs(images, alpha)
        assert wanted.std() > 1e-4 * alpha, "the outputs say nothing"
        torch.testing.assert_close(model.outputs(images, alpha), wanted, rtol=0, atol=1e-6)


def differs(theirs: Foreign, model: HashModel, side: int) -> bool:
    images = torch.rand(3, 3, side, side)
    with torch.no_grad():
        return not torch.allclose(model.outputs(images), theirs(images), atol=1e-4)


FULL: dict[str, tuple[str, Callable[[Any, int], Foreign], int]] = {
    "resnet18": ("resnet18", TheirResNet, 64),
    "resnet50": ("resnet50", TheirResNet, 64),
    "alexnet": ("alexnet", TheirAlexNet, 224),
    "alexnet-fc": ("alexnet", TheirFc, 224),
    "vgg11": ("vgg11", TheirVGG, 224),
    "vgg11-twice": ("vgg11", lambda base, bits: TheirVGG(base, bits, twice=True), 224),
    "vgg11-fc": ("vgg11", TheirFc, 224),
    "vgg16-bn": ("vgg16-bn", TheirVGG, 224),
    "densenet161": ("densenet161", TheirDenseNet, 64),
}


@pytest.mark.parametrize(
    "case",
    [name if name == "resnet18" else pytest.param(name, marks=pytest.mark.slow) for name in FULL],
)
def test_a_network_of_either_repository_gives_the_same_outputs(case: str, tmp_path: Path) -> None:
    # At 224 pixels, the only size that their AlexNet and VGG take, torchvision's adaptive pooling,
    # which theirs lack, changes nothing.
    name, layout, side = FULL[case]
    plugin: Backbone = next(
        member
        for member in vars(torchvision_nets).values()
        if "card" in getattr(member, "__dict__", {}) and member.card.name == name
    )()
    torch.manual_seed(0)
    theirs = layout(models.get_model(name.replace("-", "_"), weights=None), BITS)
    lively(theirs)
    torch.manual_seed(1)
    model = HashModel(plugin.build(InputSpec(3, side, side, MEAN, STD)), BITS).eval()
    path = tmp_path / "theirs.pth"
    torch.save(theirs.state_dict(), path)
    try:
        assert differs(theirs, model, side)
        assert bits_of(read_foreign(path, name)) == BITS
        load_foreign(path, model, name)
    finally:
        path.unlink()  # half a gigabyte
    assert_same(theirs, model, side)


@pytest.mark.parametrize("layout", [TheirAlexNet, TheirFc])
@pytest.mark.parametrize("form", ["pth", "legacy.pt", "safetensors", "nested", "module", "model"])
def test_every_form_of_file_is_read(
    form: str, layout: type[Foreign], tiny_alexnet: tuple[Foreign, HashModel], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    theirs = layout(TinyAlexNet(), BITS).eval()  # type: ignore[call-arg]
    _, model = tiny_alexnet
    state = theirs.state_dict()
    path = tmp_path / f"theirs.{form if '.' in form or form == 'safetensors' else 'pth'}"
    if form == "safetensors":
        save_file({name: value.clone() for name, value in state.items()}, path)
    elif form == "legacy.pt":
        torch.save(state, path, _use_new_zipfile_serialization=False)
    elif form == "nested":
        torch.save({"epoch": 3, "state_dict": state, "lr": 0.1}, path)
    elif form == "module":
        torch.save({f"module.model.{name}": value for name, value in state.items()}, path)
    elif form == "model":
        torch.save({f"model.{name}": value for name, value in state.items()}, path)
    else:
        torch.save(state, path)
    assert differs(theirs, model, 8)
    assert load_foreign(path, model, "alexnet:weights=none") is model
    assert_same(theirs, model, 8)


def test_a_layer_that_is_registered_twice_counts_once(
    tiny_vgg: tuple[Foreign, HashModel], tmp_path: Path
) -> None:
    theirs, model = tiny_vgg
    state = theirs.state_dict()
    assert {"cl1.weight", "classifier.0.weight"} <= state.keys()
    torch.save(state, tmp_path / "w.pth")
    load_foreign(tmp_path / "w.pth", model, "vgg16-bn")
    assert_same(theirs, model, 8)


def test_normalisation_stays_the_models_own(
    tiny_vgg: tuple[Foreign, HashModel], tmp_path: Path
) -> None:
    theirs, model = tiny_vgg
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    load_foreign(tmp_path / "w.pth", model, "vgg11")
    assert model.mean.flatten().tolist() == pytest.approx(MEAN)
    assert model.std.flatten().tolist() == pytest.approx(STD)
    assert not {"mean", "std"} & read_foreign(tmp_path / "w.pth", "vgg11").keys()


CARD = ModelCard(
    backbone="vgg11", bits=BITS, loss="csq", defense="none", dataset="d", protocol="0" * 64, seed=0
)


def set_nan(state: State, name: str) -> None:
    state[name] = state[name].clone()
    state[name].view(-1)[0] = torch.nan


def shift(state: State, name: str) -> None:
    state[name] = state[name] + 1e-6


FAULTS: dict[str, tuple[Callable[[State], object], str]] = {
    "missing": (
        lambda s: s.pop("features.0.weight"),
        r"does not fit the model: 'backbone\.features\.0\.weight' is missing",
    ),
    "no hash layer": (
        lambda s: (s.pop("classifier.6.weight"), s.pop("classifier.6.bias")),
        r"'hash_layer\.weight' is missing; 'hash_layer\.bias' is missing",
    ),
    "unknown": (
        lambda s: s.update(surprise=torch.zeros(1)),
        "is no checkpoint of vgg11: 'surprise' is not known$",
    ),
    "many unknown": (
        lambda s: s.update({f"s{place}": torch.zeros(1) for place in range(7)}),
        "'s0' is not known; 's1' is not known; 's2' is not known; and 4 more$",
    ),
    "shape": (
        lambda s: s.update({"classifier.3.weight": torch.zeros(5, 9)}),
        r"'backbone\.classifier\.3\.weight' has shape \(5, 9\), expected \(5, 8\)",
    ),
    "broadcastable": (
        lambda s: s.update({"classifier.3.bias": torch.zeros(1)}),
        r"has shape \(1,\), expected \(5,\)",
    ),
    "bits": (
        lambda s: s.update(
            {"classifier.6.weight": torch.zeros(7, 5), "classifier.6.bias": torch.zeros(7)}
        ),
        r"'hash_layer\.weight' has shape \(7, 5\), expected \(12, 5\)",
    ),
    "duplicate": (
        lambda s: shift(s, "cl1.bias"),
        r"'cl1\.bias' and 'classifier\.0\.bias' are one layer, but differ",
    ),
    "duplicate of another shape": (
        lambda s: s.update({"cl1.bias": torch.zeros(1)}),
        "are one layer, but differ",
    ),
    "nan": (
        lambda s: set_nan(s, "classifier.3.weight"),
        r"'classifier\.3\.weight' holds values that are not finite",
    ),
    "infinite statistics": (
        lambda s: s["features.1.running_var"].fill_(torch.inf),
        r"'features\.1\.running_var' holds values that are not finite",
    ),
    "integers": (
        lambda s: s.update({"classifier.3.bias": torch.zeros(5, dtype=torch.int64)}),
        r"'backbone\.classifier\.3\.bias' is torch\.int64, expected torch\.float32",
    ),
    "of another network": (
        lambda s: s.update({"layer1.0.conv1.weight": torch.zeros(1)}),
        r"'layer1\.0\.conv1\.weight' is not known",
    ),
}


@pytest.mark.parametrize("case", list(FAULTS))
def test_a_state_dict_that_does_not_fit_is_refused(
    case: str, tiny_vgg: tuple[Foreign, HashModel], tmp_path: Path
) -> None:
    change, fault = FAULTS[case]
    theirs, model = tiny_vgg
    state = dict(theirs.state_dict())
    change(state)
    torch.save(state, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", tmp_path / "ours", model, fault)


def refused(path: Path, folder: Path, model: HashModel, fault: str) -> None:
    """One sentence that names the file; nothing is loaded, nothing is written."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UsageError, match=fault) as refusal:
        load_foreign(path, model, CARD.backbone)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not folder.exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_a_pickled_model_is_refused_and_never_run(
    legacy: bool, tiny_vgg: tuple[Foreign, HashModel], tmp_path: Path
) -> None:
    theirs, model = tiny_vgg
    mark, path = tmp_path / "the bomb went off", tmp_path / "w.pth"
    contents: list[object] = [
        theirs,  # what the repositories' torch.save(model) writes
        Bomb(mark),
        {"state_dict": theirs.state_dict(), "model": Bomb(mark)},
    ]
    for content in contents:
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
        refused(path, tmp_path / "ours", model, r"whole pickled model.*model\.state_dict\(\)")
        assert not mark.exists()
    # The proof that this bomb is real: it goes off where torch is told to trust a file.
    torch.load(path, weights_only=False)
    assert mark.exists(), "the bomb works where it is read"


@pytest.mark.parametrize("form", ["pth", "legacy", "safetensors"])
@pytest.mark.parametrize("keep", [0, 1, 50, 0.5, 0.95, -1])
def test_a_truncated_file_is_refused(
    keep: float, form: str, tiny_vgg: tuple[Foreign, HashModel], tmp_path: Path
) -> None:
    theirs, model = tiny_vgg
    path = tmp_path / ("w.safetensors" if form == "safetensors" else "w.pth")
    if form == "safetensors":
        save_file({name: value.clone() for name, value in theirs.state_dict().items()}, path)
    else:
        torch.save(theirs.state_dict(), path, _use_new_zipfile_serialization=form == "pth")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    refused(path, tmp_path / "ours", model, "damaged|cannot be read|holds more than tensors")


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (torch.zeros(3), "holds a value of type Tensor, expected a state dict"),
        ([torch.zeros(3)], "holds a value of type list"),
        ({}, "holds an empty dict"),
        ({"features.0.weight": torch.zeros(1), "epoch": 3}, "'epoch' holds a value of type int"),
        ({"state_dict": {}}, "holds an empty dict"),
        ({7: torch.zeros(1)}, "'7' holds a value of type Tensor"),
    ],
)
def test_what_is_no_state_dict_is_refused(
    content: object, fault: str, tiny_vgg: tuple[Foreign, HashModel], tmp_path: Path
) -> None:
    torch.save(content, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", tmp_path / "ours", tiny_vgg[1], fault)


@pytest.mark.parametrize(
    "content", [b"a text file, say a saved error page", b"PK\x03\x04", b"\x80"]
)
def test_garbage_is_refused(
    content: bytes, tiny_vgg: tuple[Foreign, HashModel], tmp_path: Path
) -> None:
    for name in ("w.pth", "w.safetensors"):
        (tmp_path / name).write_bytes(content)
        refused(tmp_path / name, tmp_path / "ours", tiny_vgg[1], "damaged|cannot be read|more than")


def test_a_missing_file_or_a_folder_is_refused(
    tiny_vgg: tuple[Foreign, HashModel], tmp_path: Path
) -> None:
    refused(tmp_path / "nowhere.pth", tmp_path / "ours", tiny_vgg[1], "no such file")
    (tmp_path / "w.pth").mkdir()
    reason = "it is a folder, expected a file"
    refused(tmp_path / "w.pth", tmp_path / "ours", tiny_vgg[1], reason)


def test_a_backbone_without_a_layout_is_named(tmp_path: Path) -> None:
    torch.save({"x": torch.zeros(1)}, tmp_path / "w.pth")
    for name in ("vit-b-16", "wide-resnet50-2", "resnext50-32x4d", "small-cnn"):
        with pytest.raises(UsageError, match=f"'{name}': no layout .* only those of alexnet"):
            read_foreign(tmp_path / "w.pth", name)


def test_bits_are_the_hash_layers() -> None:
    assert bits_of({"hash_layer.weight": torch.zeros(48, 5)}) == 48
    for state in ({}, {"fc.weight": torch.zeros(3, 3)}, {"hash_layer.weight": torch.zeros(3)}):
        with pytest.raises(UsageError, match="no hash layer"):
            bits_of(state)


def test_only_prefixes_that_all_keys_share_are_taken_off(tmp_path: Path) -> None:
    value = torch.zeros(1)
    for keys, left in (
        (["module.a", "module.b"], {"a", "b"}),
        (["model.module.a", "model.module.b"], {"a", "b"}),
        (["module.a", "b"], {"module.a", "b"}),
        (["model.a", "module.b"], {"model.a", "module.b"}),
    ):
        torch.save(dict.fromkeys(keys, value), tmp_path / "w.pth")
        assert read_state(tmp_path / "w.pth").keys() == left


def test_fitting_fills_counters_and_converts_floats() -> None:
    norm = nn.BatchNorm2d(3)
    state = {name: value.half() for name, value in norm.state_dict().items() if "num" not in name}
    state["weight"].fill_(0.25)
    found = fitted(state, norm.state_dict(), "this")
    assert int(found["num_batches_tracked"]) == 0
    assert found["weight"].dtype == torch.float32
    assert found["weight"].tolist() == [0.25] * 3
    assert found.keys() == norm.state_dict().keys()
