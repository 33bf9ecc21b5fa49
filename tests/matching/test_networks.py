"""Networks as fixed hashes: a model's own codes, a picture at a time, and ONNX in closed form."""

from __future__ import annotations

import importlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image
from torch import nn

import hashbench.zoo.shipped
from hashbench import plugins
from hashbench.errors import UsageError
from hashbench.hashing import InputSpec
from hashbench.hashing.checkpoint import load_checkpoint
from hashbench.hashing.model import HashModel
from hashbench.matching.contract import Hasher
from hashbench.matching.networks import Network
from hashbench.matching.resized import Filter, in_unit_range, resized, smooth_resized
from hashbench.plugins import Backbone
from hashbench.plugins.parameters import canonical
from hashbench.runner.fingerprint import describe, source_hash
from hashbench.runner.matching.setting import MatchSetting, PictureSource
from hashbench.runner.matching.steps import CleanCodes
from hashbench.runner.suite_tables import Compute
from hashbench.testing import check_hasher
from hashbench.testing.hasher_stage import as_images, like_a_photograph

SHIPPED = Path(hashbench.zoo.shipped.__file__).parent
PICTURES = PictureSource(None, "256x256", skip_broken=False, single=False, sha256="0" * 64, count=1)


def hash_of(text: str) -> Hasher:
    found = plugins.get("hasher", text)
    assert isinstance(found, Hasher)
    return found


def linear_onnx(
    path: Path,
    weights: NDArray[np.float32],
    shape: Sequence[int | str] = (1, 3, 2, 2),
    *,
    kind: int = TensorProto.FLOAT,
    outputs: int = 1,
) -> Path:
    """A network whose values are the products of the flattened image with the rows of a matrix."""
    value = helper.make_tensor_value_info
    names = [f"y{at}" for at in range(outputs)]
    nodes = [helper.make_node("Flatten", ["x"], ["flat"])]
    nodes += [helper.make_node("Gemm", ["flat", "w"], [name], transB=1) for name in names]
    graph = helper.make_graph(
        nodes,
        "g",
        [value("x", kind, list(shape))],
        [value(name, TensorProto.FLOAT, None) for name in names],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    path.write_bytes(model.SerializeToString())
    return path


WEIGHTS = np.random.default_rng(0).integers(-3, 4, (16, 12)).astype(np.float32)


def test_a_models_codes_are_its_own() -> None:
    backbone = plugins.get("backbone", "small-cnn")
    assert isinstance(backbone, Backbone)
    net = backbone.build(InputSpec(1, *(size := (28, 28)), (0.1,), (0.9,)))
    model = load_checkpoint(SHIPPED, HashModel(net, 32)).eval()
    pictures = [like_a_photograph(*size, seed=seed) for seed in range(8)]
    greys = [np.asarray(Image.fromarray(one).convert("L")) for one in pictures]
    images = torch.stack([in_unit_range(grey[None]) for grey in greys])
    codes = (model.codes(images) > 0).numpy()
    found = hash_of(f"model:{SHIPPED}")
    np.testing.assert_array_equal(np.stack([found.verdict(one) for one in pictures]), codes)


def test_a_model_keeps_the_rules_and_its_values_know_no_batch() -> None:
    found = hash_of(f"model:{SHIPPED}")
    check_hasher(found).raise_failures()
    replica = found.replica(64, 48)
    assert replica is not None
    images = as_images(tuple(like_a_photograph(64, 48, seed=seed) for seed in range(5)))
    alone = torch.cat([replica(image[None]) for image in images])
    assert torch.equal(replica(images), alone)
    assert torch.equal(replica(images.requires_grad_(True)).detach(), alone)


def test_the_threshold_is_an_eighth_of_the_bits_unless_one_is_said() -> None:
    found = hash_of(f"model:{SHIPPED}")
    assert found.threshold == found.bits // 8
    assert hash_of(f"model:{SHIPPED},threshold=0").threshold == 0
    again = hash_of(canonical(found))
    assert again == found


def test_keys_hold_the_content_of_a_models_files(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(SHIPPED, copy)
    found = hash_of(f"model:{copy}")
    assert [path.name for path in found.reads()] == ["card.json", "weights.safetensors"]
    before = describe(found)
    card = json.loads((copy / "card.json").read_text())
    (copy / "card.json").write_text(json.dumps({**card, "licence": "another"}))
    assert describe(hash_of(f"model:{copy}")) != before


OWN_BACKBONE = """
from dataclasses import dataclass
from hashbench.hashing.backbones.small_cnn import SmallCNN
from hashbench.plugins import backbone

@backbone("own-cnn")
@dataclass(frozen=True)
class OwnCNN(SmallCNN):
    pass
"""


@pytest.mark.usefixtures("fresh_registry")
def test_keys_hold_the_source_of_a_models_backbone(tmp_path: Path) -> None:
    """The backbone of a plugin file lies in no room of hashbench: its own source is in the key."""
    folder, source = tmp_path / "model", tmp_path / "own.py"
    shutil.copytree(SHIPPED, folder)
    card = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps({**card, "backbone": "own-cnn"}))
    found = []
    for content in (OWN_BACKBONE, OWN_BACKBONE + "# changed\n", OWN_BACKBONE):
        source.write_text(content)
        plugins.use_file(source)
        source_hash.cache_clear()  # a run is a process of its own
        (part,) = hash_of(f"model:{folder}").made_of()
        assert part.card.name == "own-cnn"
        setting = MatchSetting(hash_of(f"model:{folder}"), PICTURES, None, 0, Compute())
        found.append(CleanCodes(setting).key)
    assert found[0] == found[2] != found[1]


def test_a_value_of_0_counts_as_the_network_says() -> None:
    class Zero(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.flatten(1)[:, :4] * 0

    picture = like_a_photograph(8, 8, seed=0)
    for zero_is_one in (True, False):
        network = Network(Zero(), (3, 8, 8), 4, Filter.BILINEAR, zero_is_one, differentiable=True)
        replica = network.replica()
        assert replica is not None
        assert network.verdict(picture).tolist() == [zero_is_one] * 4
        assert (replica(as_images((picture,))) > 0).tolist() == [[zero_is_one] * 4]


@pytest.mark.parametrize("by", list(Filter))
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 16), (9, 30), (16, 40), (1, 1)])
def test_forward_it_is_pillow_and_backward_the_smooth_change_of_size(
    by: Filter, channels: int, size: tuple[int, int]
) -> None:
    picture = like_a_photograph(*size, seed=0)
    image = as_images((picture,))[0].requires_grad_(True)
    small = smooth_resized(image, channels, 16, 16, by)
    wanted = in_unit_range(resized(picture, channels, 16, 16, by))
    assert torch.equal(small, wanted)
    pillow = Image.fromarray(picture)
    pillow = (pillow.convert("L") if channels == 1 else pillow).resize((16, 16), by.pillow)
    assert np.array_equal(np.asarray(pillow).reshape(16, 16, channels).transpose(2, 0, 1),
                          resized(picture, channels, 16, 16, by))  # fmt: skip
    # Each pixel of the small picture is a mean of the large one's, so the gradients of its sum
    # add up to the number of its values (each channel weighs 1 in grey too).
    (slope,) = torch.autograd.grad(small.sum(), image)
    assert float(slope.sum()) == pytest.approx(256 * channels, rel=1e-4)


def test_a_models_mistakes_are_told_before_any_work(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(SHIPPED, copy)
    card = json.loads((copy / "card.json").read_text())
    for changes, sentence in (
        ({"shape": []}, r"its card says no shape of the images that it was built for"),
        ({"shape": [4, 8, 8]}, r"its card says 4 x 8 x 8 of the images"),
        ({"wraps": True, "defense": "jpeg"}, r"the defense jpeg is wrapped around it"),
        ({"backbone": "no-such-net"}, r"there is no backbone 'no-such-net'"),
        ({"bits": 17}, r"does not fit the model"),
    ):
        (copy / "card.json").write_text(json.dumps({**card, **changes}))
        with pytest.raises(UsageError, match=sentence) as raised:
            hash_of(f"model:{copy}")
        assert str(copy) in str(raised.value) or "backbone" in str(raised.value)
    (copy / "card.json").write_text(json.dumps(card))
    (copy / "weights.safetensors").unlink()
    with pytest.raises(UsageError, match=r"there is no weights\.safetensors in it"):
        hash_of(f"model:{copy}")


def test_an_onnx_hash_in_closed_form(tmp_path: Path) -> None:
    file = linear_onnx(tmp_path / "net.onnx", WEIGHTS)
    found = hash_of(f"onnx:{file},mean=0.25:0.5:0.75,std=2:1:0.5")
    assert (found.bits, found.threshold, found.replica(2, 2)) == (16, 2, None)
    for seed in range(20):
        picture = like_a_photograph(2, 2, seed=seed)
        pixels = (picture / 255 - (0.25, 0.5, 0.75)) / (2, 1, 0.5)
        values = WEIGHTS @ pixels.transpose(2, 0, 1).ravel()
        clear = np.abs(values) > 1e-4  # float32 adds up twelve products of at most 3 x 2
        np.testing.assert_array_equal(found.verdict(picture)[clear], (values > 0)[clear])


def test_a_projection_comes_after_the_network(tmp_path: Path) -> None:
    file = linear_onnx(tmp_path / "net.onnx", np.eye(12, dtype=np.float32))
    matrix = tmp_path / "seed.npy"
    np.save(matrix, WEIGHTS)
    plain = hash_of(f"onnx:{linear_onnx(tmp_path / 'all.onnx', WEIGHTS)}")
    found = hash_of(f"onnx:{file},projection={matrix}")
    assert found.bits == 16
    assert found.reads() == (file, matrix)
    for seed in range(10):
        picture = like_a_photograph(2, 2, seed=seed)
        np.testing.assert_array_equal(found.verdict(picture), plain.verdict(picture))


def test_a_network_of_fixed_batches_is_asked_all_the_same(tmp_path: Path) -> None:
    one = hash_of(f"onnx:{linear_onnx(tmp_path / 'one.onnx', WEIGHTS)}")
    many = hash_of(f"onnx:{linear_onnx(tmp_path / 'many.onnx', WEIGHTS, (4, 3, 2, 2))}")
    picture = like_a_photograph(30, 20, seed=3)
    np.testing.assert_array_equal(many.verdict(picture), one.verdict(picture))


def test_an_onnx_hash_keeps_the_rules(tmp_path: Path) -> None:
    weights = np.random.default_rng(1).normal(size=(32, 3 * 64)).astype(np.float32)
    file = linear_onnx(tmp_path / "net.onnx", weights, (1, 3, 8, 8))
    check_hasher(f"onnx:{file},mean=0.5").raise_failures()


@pytest.mark.parametrize(
    ("shape", "more", "sentence"),
    [
        ((1, 2, 2, 3), "", r"shape \(batch, 2, 2, 3\), expected .* with 1 or 3 channels"),
        ((1, 12), "", r"images of floats \(batch, channels, height, width\), but takes 'x'"),
        ((1, 3, 2, 2, 1), "", r"but takes 'x' tensor\(float\) \[1, 3, 2, 2, 1\]"),
        (("n", 3, "h", "w"), "", r"says no height and width .* side=224"),
        ((1, 3, 2, 2), ",side=4", r"takes images of 2 x 2 pixels: leave side out"),
        (("n", 3, "h", "w"), ",side=5", r"cannot be asked for images of 3 x 5 x 5"),
        ((1, 3, 2, 2), ",std=0", r"std is 0, expected numbers above 0"),
        ((1, 3, 2, 2), ",mean=1:2", r"expected one number, or three as in 0.485:0.456:0.406"),
        ((1, 3, 2, 2), ",mean=a", r"expected a number, found 'a'"),
        ((1, 3, 2, 2), ",side=-1", r"side is -1, expected 1 to 4096"),
        ((1, 3, 2, 2), ",threshold=16", r"expected a threshold of 0 to 15 bits, found 16"),
        ((1, 3, 2, 2), ",output=z", r"no output 'z'.* say which with output=NAME"),
    ],
)
def test_another_input_is_one_sentence(
    shape: tuple[int, ...], more: str, sentence: str, tmp_path: Path
) -> None:
    file = linear_onnx(tmp_path / "net.onnx", WEIGHTS, shape)
    with pytest.raises(UsageError, match=sentence) as raised:
        hash_of(f"onnx:{file}{more}")
    assert "\n" not in str(raised.value)


def test_integers_and_several_outputs_are_refused(tmp_path: Path) -> None:
    file = linear_onnx(tmp_path / "two.onnx", WEIGHTS, outputs=2)
    with pytest.raises(UsageError, match=r"several outputs; there are 'y0'.* with output=NAME"):
        hash_of(f"onnx:{file}")
    assert hash_of(f"onnx:{file},output=y1").bits == 16
    whole = linear_onnx(tmp_path / "whole.onnx", WEIGHTS, kind=TensorProto.UINT8)
    with pytest.raises(UsageError, match=r"onnxruntime cannot run it|images of floats"):
        hash_of(f"onnx:{whole}")


def test_what_is_no_onnx_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("hello")
    np.save(tmp_path / "short.npy", np.ones((4, 5)))
    np.save(tmp_path / "whole.npy", np.ones((4, 12), dtype=int))
    np.save(tmp_path / "object.npy", np.array([{}]), allow_pickle=True)
    file = linear_onnx(tmp_path / "net.onnx", WEIGHTS)
    for text, sentence in (
        (f"{tmp_path}/no.onnx", "no.onnx cannot be read: No such file"),
        (f"{tmp_path}/text.onnx", "text.onnx: it is no ONNX, or damaged"),
        (f"{tmp_path}", "Is a directory|is a folder|no file"),
        (f"{file},projection={tmp_path}/no.npy", "no.npy cannot be read: No such file"),
        (f"{file},projection={file}", r"net.onnx is no NumPy file \(.npy\)"),
        (f"{file},projection={tmp_path}/object.npy", r"object.npy is no NumPy file"),
        (f"{file},projection={tmp_path}/whole.npy", "holds no matrix"),
        (f"{file},projection={tmp_path}/short.npy", "gives 16 values, but .* is for 5"),
    ):
        with pytest.raises(UsageError, match=sentence) as raised:
            hash_of(f"onnx:{text}")
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named_with_its_extra(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = linear_onnx(tmp_path / "net.onnx", WEIGHTS)
    real = importlib.import_module

    def missing(name: str, *given: Any) -> Any:
        if name == package:
            raise ModuleNotFoundError(name, name=name)
        return real(name, *given)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UsageError, match=rf"package {package}: pip install 'hashbench\[onnx\]'"):
        hash_of(f"onnx:{file}")


def test_a_path_needs_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    linear_onnx(tmp_path / "net.onnx", WEIGHTS)
    monkeypatch.chdir(tmp_path)
    wanted = plugins.get("hasher", "onnx:file=net.onnx,threshold=3")
    assert plugins.get("hasher", "onnx:net.onnx,threshold=3") == wanted
    assert canonical(wanted) == "onnx:file=net.onnx,threshold=3"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hash_of("onnx:~/net.onnx").reads() == (tmp_path / "net.onnx",)
