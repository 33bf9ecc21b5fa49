"""Weights beside an ONNX file lie in its own folder, whatever it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.external_data_helper import set_external_data

from hashbench.errors import FileError
from hashbench.hashing.programs.onnx_programs import whole
from support.outside import Outside


def onnx_file(path: Path, place: str) -> None:
    """A network whose only weights lie in another file."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, (2,), np.ones(2, "f4").tobytes(), raw=True)
    set_external_data(weights, location=place, offset=0, length=8)
    weights.ClearField("raw_data")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "w"], ["y"])],
        "g",
        [value("x", TensorProto.FLOAT, (2,))],
        [value("y", TensorProto.FLOAT, (2,))],
        [weights],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(helper.make_model(graph).SerializeToString())


def test_a_linked_folder_leads_no_weights_out(tmp_path: Path, unread: Outside) -> None:
    file = tmp_path / "root/net.onnx"
    onnx_file(file, "sub/canary.png")
    (file.parent / "sub").symlink_to(unread.folder)
    with pytest.raises(
        FileError, match=r"lie at 'sub/canary\.png', and a folder on the way there is a link"
    ):
        whole(file)


def test_weights_in_a_folder_below_are_read(tmp_path: Path) -> None:
    """Also where the way to the file itself leads through a link."""
    onnx_file(tmp_path / "root/net.onnx", "sub/w")
    (tmp_path / "root/sub").mkdir()
    (tmp_path / "root/sub/w").write_bytes(np.full(2, 3, "f4").tobytes())
    (tmp_path / "link").symlink_to("root")
    for folder in ("root", "link"):
        model = onnx.load_model_from_string(whole(tmp_path / folder / "net.onnx"))
        assert onnx.numpy_helper.to_array(model.graph.initializer[0]).tolist() == [3, 3]


@pytest.mark.parametrize("place", ["..", "/dev/zero", "../outside/canary.png", "a\\..\\b", "a\0b"])
def test_weights_lie_beside_their_network(place: str, tmp_path: Path, unread: Outside) -> None:  # noqa: ARG001
    onnx_file(tmp_path / "root/net.onnx", place)
    with pytest.raises(FileError, match=r"not in its own folder|no file can have"):
        whole(tmp_path / "root/net.onnx")
