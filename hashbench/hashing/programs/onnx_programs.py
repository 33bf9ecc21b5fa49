"""Loads ONNX by onnxruntime, on the processor. Needs the extra `[onnx]`."""

from __future__ import annotations

import importlib
from pathlib import Path, PurePosixPath
from typing import Any, Final, Self

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from hashbench.characters import briefly, first_line
from hashbench.errors import FileError, UsageError
from hashbench.files import read_bytes

MAX_BYTES: Final = 2**31 - 1
"""The most bytes of an ONNX file: a message of protobuf can have no more."""

_NUMBERS: Final = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
}


def whole(path: Path) -> bytes:
    """An ONNX file with its weights in it, wherever they lie.

    torch.onnx.export puts them beside it, into `NAME.onnx.data`; they have to lie in its folder.

    Raises:
        FileError: it is no ONNX, or its weights are not there, not beside it, or too many for one
            file.
        OSError: it cannot be read.
        UsageError: the package onnx is missing.
    """
    model, content, files = _read(path)
    if not files:
        return content
    size = len(content)
    for beside in files:
        try:
            size += len(read_bytes(beside, MAX_BYTES, links=False))
        except FileNotFoundError:
            raise FileError(
                f"its weights lie in the file {beside.name}, which is not beside it"
            ) from None
        except FileError as error:
            raise FileError(f"its weights lie in the file {beside.name}: {error}") from None
    if size > MAX_BYTES:
        raise FileError(f"with its weights it has {size:,} bytes, expected at most {MAX_BYTES:,}")
    try:
        helper = importlib.import_module("onnx.external_data_helper")
        helper.load_external_data_for_model(model, str(path.parent))
        found: bytes = model.SerializeToString()
    except Exception as error:
        raise FileError(f"its weights cannot be read: {first_line(error)}") from error
    return found


def files_beside(path: Path) -> tuple[Path, ...]:
    """The files in which the weights of an ONNX file lie, in its folder; most have none.

    Raises:
        FileError, OSError, UsageError: as `whole`.
    """
    return _read(path)[2]


def _read(path: Path) -> tuple[Any, bytes, tuple[Path, ...]]:
    """An ONNX file as onnx reads it, its bytes, and where its weights lie outside of it."""
    content = read_bytes(path, MAX_BYTES)
    onnx = _package("onnx")
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's errors have no base of their own
        raise FileError("it is no ONNX, or damaged") from error
    if not model.HasField("graph") or not len(model.graph.node):
        raise FileError("it is no ONNX, or damaged: there is no network in it")
    helper = importlib.import_module("onnx.external_data_helper")
    outside = [one for one in helper._get_all_tensors(model) if helper.uses_external_data(one)]
    files = set()
    for tensor in outside:
        place = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
        name = PurePosixPath(place)
        if not place or name.is_absolute() or ".." in name.parts or "\\" in place:
            raise FileError(
                f"its weights lie at '{briefly(place)}', which is not in its own folder: save it "
                "in one file"
            )
        beside = path.parent / name
        if beside.parent.resolve() != path.parent.resolve() / name.parent:
            raise FileError(
                f"its weights lie at '{briefly(place)}', and a folder on the way there is a link: "
                "save it in one file"
            )
        files.add(beside)
    return model, content, tuple(sorted(files))


class OnnxNet(nn.Module):
    """A network of ONNX. It has no gradient, no parameters and no mode.

    Attributes:
        batch: how many images it takes at once; 0 where it takes any number.
        shape: channels, height and width of its images; 0 where it takes any.
    """

    def __init__(self, content: bytes, threads: int, output: str) -> None:
        """Load a network.

        Args:
            content: see `whole`.
            threads: of the processor.
            output: the name of what it gives; empty where that is one thing.

        Raises:
            FileError: onnxruntime cannot run it, it takes something else than images, or gives
                several things.
            UsageError: the package onnxruntime is missing.
        """
        super().__init__()
        runtime = _package("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.use_deterministic_compute = True
        options.log_severity_level = 4
        try:
            session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors have no base of their own
            raise FileError(f"onnxruntime cannot run it: {first_line(error)}") from error
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(inputs) != 1 or inputs[0].type not in _NUMBERS or len(inputs[0].shape) != 4:
            listed = ", ".join(f"'{briefly(one.name)}' {one.type} {one.shape}" for one in inputs)
            raise FileError(
                "it should take one thing, images of floats (batch, channels, height, width), but "
                f"takes {listed or 'nothing'}"
            )
        names = [one.name for one in outputs]
        if not (output in names or (not output and len(names) == 1)):
            listed = ", ".join(f"'{briefly(one.name)}' {one.shape}" for one in outputs[:6])
            wanted = f"has no output '{briefly(output)}'" if output else "has several outputs"
            raise FileError(f"it {wanted}; there are {listed}: say which with --output")
        self._session: Any = session
        self._input = inputs[0].name
        first = inputs[0].shape[0]  # a name or nothing where it may differ
        self.batch: Final = first if isinstance(first, int) and first > 0 else 0
        self.shape: Final = tuple(
            side if isinstance(side, int) and side > 0 else 0 for side in inputs[0].shape[1:]
        )
        self._number = _NUMBERS[inputs[0].type]
        self._output = output or names[0]

    @override
    def forward(self, images: Tensor) -> Tensor:
        given = images.detach().cpu().numpy().astype(self._number)
        (found,) = self._session.run([self._output], {self._input: given})
        return torch.from_numpy(np.asarray(found)).to(images.device)

    def __deepcopy__(self, _memo: object) -> Self:
        """Itself: it remembers nothing of what it is asked."""
        return self


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        raise UsageError(f"ONNX needs the package {name}: pip install 'hashbench[onnx]'") from None
