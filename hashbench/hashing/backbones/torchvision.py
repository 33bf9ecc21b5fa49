"""Backbones of torchvision: one adapter, one table, one plugin for each row of it.

torchvision is imported when a network is built, not when plugins are listed.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.hashing.backbones.pretrained import (
    IMAGENET,
    IMAGENET_MEAN,
    IMAGENET_STD,
    IMAGENET_V1,
    NONE,
    PretrainedBackbone,
    cut,
    without_idle_pools,
)
from hashbench.plugins import backbone

HASH_STD = 0.01
_RESNET = "He et al., ResNet, CVPR 2016, https://arxiv.org/abs/1512.03385"

_V1, _V2 = "IMAGENET1K_V1", "IMAGENET1K_V2"


@dataclass(frozen=True)
class Net:
    """One row of the table.

    Attributes:
        title: the network's usual name.
        head: its last linear layer, which is cut off.
        features: number of inputs of that layer.
        smallest: the smallest side of an image that its poolings allow, in pixels.
        newest: torchvision's present default weights, pinned so that an update changes nothing.
        patch: side of a vision transformer's patches, whose number is fixed when it is built.
        cite: where it was published.
    """

    title: str
    head: str
    features: int
    smallest: int = 1
    newest: str = _V1
    patch: int | None = None
    cite: str = ""


def _vgg(title: str) -> Net:
    return Net(
        title,
        "classifier.6",
        4096,
        smallest=32,
        cite="Simonyan and Zisserman, VGG, ICLR 2015, https://arxiv.org/abs/1409.1556",
    )


def _resnet(title: str, features: int, newest: str = _V2, cite: str = _RESNET) -> Net:
    return Net(title, "fc", features, newest=newest, cite=cite)


def _densenet(title: str, features: int) -> Net:
    return Net(
        title,
        "classifier",
        features,
        smallest=29,
        cite="Huang et al., DenseNet, CVPR 2017, https://arxiv.org/abs/1608.06993",
    )


def _convnext(title: str, features: int) -> Net:
    return Net(
        title,
        "classifier.2",
        features,
        smallest=32,
        cite="Liu et al., ConvNeXt, CVPR 2022, https://arxiv.org/abs/2201.03545",
    )


def _vit(title: str, features: int, patch: int) -> Net:
    return Net(
        title,
        "heads.head",
        features,
        patch,
        patch=patch,
        cite=(
            "Dosovitskiy et al., Vision Transformer, ICLR 2021, https://arxiv.org/abs/2010.11929"
        ),
    )


def _swin(title: str, features: int) -> Net:
    return Net(
        title,
        "head",
        features,
        smallest=4,
        cite="Liu et al., Swin Transformer, ICCV 2021, https://arxiv.org/abs/2103.14030",
    )


# Its keys are read without importing this module: see hashbench.plugins.catalog.
TABLE: Mapping[str, Net] = {
    "alexnet": Net(
        "AlexNet",
        "classifier.6",
        4096,
        smallest=63,
        cite="Krizhevsky, One weird trick, 2014, https://arxiv.org/abs/1404.5997",
    ),
    "vgg11": _vgg("VGG-11"),
    "vgg11-bn": _vgg("VGG-11 with batch norm"),
    "vgg13": _vgg("VGG-13"),
    "vgg13-bn": _vgg("VGG-13 with batch norm"),
    "vgg16": _vgg("VGG-16"),
    "vgg16-bn": _vgg("VGG-16 with batch norm"),
    "vgg19": _vgg("VGG-19"),
    "vgg19-bn": _vgg("VGG-19 with batch norm"),
    "resnet18": _resnet("ResNet-18", 512, _V1),
    "resnet34": _resnet("ResNet-34", 512, _V1),
    "resnet50": _resnet("ResNet-50", 2048),
    "resnet101": _resnet("ResNet-101", 2048),
    "resnet152": _resnet("ResNet-152", 2048),
    "resnext50-32x4d": _resnet(
        "ResNeXt-50 32x4d",
        2048,
        cite="Xie et al., ResNeXt, CVPR 2017, https://arxiv.org/abs/1611.05431",
    ),
    "wide-resnet50-2": _resnet(
        "Wide ResNet-50-2",
        2048,
        cite="Zagoruyko and Komodakis, Wide ResNet, BMVC 2016, https://arxiv.org/abs/1605.07146",
    ),
    "densenet121": _densenet("DenseNet-121", 1024),
    "densenet161": _densenet("DenseNet-161", 2208),
    "densenet169": _densenet("DenseNet-169", 1664),
    "densenet201": _densenet("DenseNet-201", 1920),
    "mobilenet-v2": Net(
        "MobileNetV2",
        "classifier.1",
        1280,
        newest=_V2,
        cite="Sandler et al., MobileNetV2, CVPR 2018, https://arxiv.org/abs/1801.04381",
    ),
    "mobilenet-v3-small": Net(
        "MobileNetV3 small",
        "classifier.3",
        1024,
        cite="Howard et al., MobileNetV3, ICCV 2019, https://arxiv.org/abs/1905.02244",
    ),
    "mobilenet-v3-large": Net(
        "MobileNetV3 large",
        "classifier.3",
        1280,
        newest=_V2,
        cite="Howard et al., MobileNetV3, ICCV 2019, https://arxiv.org/abs/1905.02244",
    ),
    "efficientnet-b0": Net(
        "EfficientNet-B0",
        "classifier.1",
        1280,
        cite="Tan and Le, EfficientNet, ICML 2019, https://arxiv.org/abs/1905.11946",
    ),
    "convnext-tiny": _convnext("ConvNeXt tiny", 768),
    "convnext-small": _convnext("ConvNeXt small", 768),
    "convnext-base": _convnext("ConvNeXt base", 1024),
    "convnext-large": _convnext("ConvNeXt large", 1536),
    "vit-b-16": _vit("Vision transformer B/16", 768, 16),
    "vit-b-32": _vit("Vision transformer B/32", 768, 32),
    "vit-l-16": _vit("Vision transformer L/16", 1024, 16),
    "swin-t": _swin("Swin transformer T", 768),
    "swin-s": _swin("Swin transformer S", 768),
    "swin-b": _swin("Swin transformer B", 1024),
}

_ABOUT = f"""Everything before the last linear layer is kept and trained on.
Inputs are normalised by ImageNet's mean {IMAGENET_MEAN} and deviation {IMAGENET_STD}, with fresh
weights too; a grey image is seen three times. The hash layer starts from a normal distribution of
deviation {HASH_STD} and bias 0, as in CgAT's code.
"""

_WEIGHTS = """weights: 'none' for fresh ones; 'imagenet' for torchvision's default ones and
'imagenet-v1' for its first ones (which the papers used), both downloaded once; or a file
(.pth, .safetensors) of a state dict of this network, with or without its last layer.
"""


@dataclass(frozen=True)
class TorchvisionBackbone(PretrainedBackbone):
    """The base of all rows of the table."""

    known: ClassVar[tuple[str, ...]] = (NONE, IMAGENET, IMAGENET_V1)
    net: ClassVar[Net]

    @property
    def builder(self) -> str:
        """Torchvision's name of the network."""
        return self.card.name.replace("-", "_")

    @override
    def build(self, images: InputSpec) -> BackboneNet:
        """Build the network; see `Backbone.build`.

        Raises:
            UsageError: the images do not suit it, or its weights cannot be had or do not fit.
        """
        self.check_channels(images)
        self._check_size(images)
        models: Any = importlib.import_module("torchvision.models")
        sized = {} if self.net.patch is None else {"image_size": images.height}
        module: nn.Module = models.get_model(self.builder, weights=None, **sized)
        features = cut(module, self.net.head)
        if self.weights != NONE:
            state = self._positioned(_modern(self._state(models)), images, models)
            self.load(module, state, (self.net.head,))
        without_idle_pools(module, (3, images.height, images.width))
        return BackboneNet(module, features, IMAGENET_MEAN, IMAGENET_STD, hash_std=HASH_STD)

    def _check_size(self, images: InputSpec) -> None:
        found = f"found {images.height} x {images.width}"
        if min(images.height, images.width) < self.net.smallest:
            raise UsageError(
                f"backbone '{self.card.name}' needs images of at least {self.net.smallest} pixels "
                f"a side, {found}"
            )
        if self.net.patch and (images.height != images.width or images.height % self.net.patch):
            raise UsageError(
                f"backbone '{self.card.name}' needs square images whose side is a multiple of "
                f"{self.net.patch}, {found}"
            )

    def _state(self, models: Any) -> Mapping[str, Tensor]:
        if self.weights not in self.known:
            return self.read_file()
        name = self.net.newest if self.weights == IMAGENET else _V1
        entry = models.get_model_weights(self.builder)[name]
        try:
            # The file's name carries its hash, which is checked.
            state: Mapping[str, Tensor] = entry.get_state_dict(progress=False, check_hash=True)
        except (OSError, RuntimeError, EOFError) as error:
            raise UsageError(
                f"backbone '{self.card.name}', weights '{self.weights}': downloading {entry.url} "
                f"failed ({error}); fetch it elsewhere and give the file, as in "
                f"{self.card.name}:weights=FOLDER/{entry.url.rsplit('/', 1)[-1]}"
            ) from None
        return state

    def _positioned(
        self, state: Mapping[str, Tensor], images: InputSpec, models: Any
    ) -> Mapping[str, Tensor]:
        """A vision transformer's position embeddings, resampled for another image size."""
        embedding = state.get("encoder.pos_embedding")
        if self.net.patch is None or embedding is None or embedding.ndim != 3:
            return state
        resample = models.vision_transformer.interpolate_embeddings
        try:
            resampled: Mapping[str, Tensor] = resample(images.height, self.net.patch, dict(state))
        except ValueError as error:
            raise UsageError(
                f"backbone '{self.card.name}', weights '{self.weights}': {error}"
            ) from None
        return resampled


def _modern(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """DenseNet's files write `norm.1` where the modules have been `norm1` since PyTorch 0.4."""
    old = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
    return {old.sub(r"\1\2.", name): value for name, value in state.items()}


def _declared(name: str, net: Net) -> type[TorchvisionBackbone]:
    """The plugin of one row."""

    @dataclass(frozen=True)
    class Declared(TorchvisionBackbone):
        pass

    size = f" Images of at least {net.smallest} pixels a side." if net.smallest > 1 else ""
    if net.patch is not None:
        size = f" Square images whose side is a multiple of {net.patch}."
    Declared.net = net
    Declared.__name__ = Declared.__qualname__ = "".join(
        part.capitalize() for part in name.split("-")
    )
    Declared.__doc__ = f"{net.title}, {net.features} features.{size}\n\n{_ABOUT}\n{_WEIGHTS}"
    return backbone(name, cite=net.cite)(Declared)


# Where the registry, and pickle, look for them.
globals().update({plugin.__name__: plugin for plugin in (_declared(*row) for row in TABLE.items())})
