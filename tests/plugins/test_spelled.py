"""A plugin whose only parameter without a default is a path takes it without its key."""

from __future__ import annotations

import pytest

from hashbench import UsageError, plugins
from hashbench.plugins import Kind
from hashbench.plugins.lookup import spelled


@pytest.mark.parametrize(
    ("kind", "text", "wanted"),
    [
        ("hasher", "onnx:net.onnx", "onnx:file=net.onnx"),
        ("hasher", "onnx: a/b.onnx,threshold=3", "onnx:file= a/b.onnx,threshold=3"),
        ("hasher", " model:folder-of-mine", "model:folder=folder-of-mine"),
        ("hasher", "model:C:/models/mine", "model:folder=C:/models/mine"),
    ],
)
def test_the_key_is_put_before_it(kind: str, text: str, wanted: str) -> None:
    assert spelled(Kind(kind), text) == wanted


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("hasher", "onnx"),
        ("hasher", "onnx:"),
        ("hasher", "onnx:file=net.onnx"),
        ("hasher", "onnx:threshold=3,net.onnx"),
        ("hasher", "iscc:net"),
        ("hasher", "no-such:net"),
        ("hasher", ":net"),
        ("backbone", "timm:resnet10t"),
        ("defense", "certified:quick"),
    ],
)
def test_any_other_text_stays_as_it_is(kind: str, text: str) -> None:
    assert spelled(Kind(kind), text) == text


def test_what_it_lacks_is_still_told() -> None:
    with pytest.raises(UsageError, match="needs its parameter 'file'"):
        plugins.get("hasher", "onnx")
    with pytest.raises(UsageError, match="if 'quick' is a preset, write certified@quick"):
        plugins.get("defense", "certified:quick")
