"""The fixed hash of a network in an ONNX file, by onnxruntime."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, ClassVar, Final

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from hashbench.errors import FileError, UsageError
from hashbench.files import read_bytes
from hashbench.hashing.programs.onnx_programs import files_beside
from hashbench.matching.contract import Hasher
from hashbench.matching.networks import Network
from hashbench.matching.onnx_network import OnnxAsking, PerChannel, onnx_network
from hashbench.matching.resized import Filter
from hashbench.matching.threshold import AN_EIGHTH, threshold_of
from hashbench.plugins.base import hasher
from hashbench.plugins.paths import FileOr

_NONE: Final = "none"
_ZERO: Final = PerChannel((0.0,))
_ONE: Final = PerChannel((1.0,))
_MAX_PROJECTION: Final = 2**28
_MAX_SIDE: Final = 4096


@hasher("onnx")
@dataclass(frozen=True)
class Onnx(Hasher):
    """The signs of what a network in an ONNX file gives: `onnx:FILE`.

    The file takes images (1, C, H, W) of floats, C of 1 or 3. A picture is brought to its size by
    Pillow (the whole picture, whatever its proportions; grey for one channel), becomes
    `(pixels - mean) / std` with pixels in `[0, 1]`, and is given to onnxruntime alone, on one
    thread. A bit is 1 where a value is above 0. There is no gradient: the hash is a black box.

    Attributes:
        file: the ONNX file; it is read where it lies, with the weights beside it.
        threshold: the distance up to which two pictures match; -1 is an eighth of the bits.
        mean: what is subtracted from each pixel: one number, or three as in `0.485:0.456:0.406`.
        std: what each is divided by, above 0; one number or three.
        resize: the filter of Pillow.
        side: height and width of its images, for a file that says none.
        output: the name of the output, for a file with several.
        projection: a NumPy file (.npy) with a matrix (K, D) of floats, which the D values of the
            network are multiplied by; the code has K bits.
    """

    packages: ClassVar[tuple[str, ...]] = ("pillow", "onnxruntime")

    file: Path
    threshold: int = AN_EIGHTH
    mean: PerChannel = _ZERO
    std: PerChannel = _ONE
    resize: Filter = Filter.BILINEAR
    side: int = 0
    output: str = _NONE
    projection: Annotated[str, FileOr(_NONE)] = _NONE

    def __post_init__(self) -> None:
        """Load the file, so that what is wrong with it is told before any work.

        Raises:
            UsageError: a file cannot be read or is another thing, or a parameter is out of range.
        """
        if min(self.std.values) <= 0:
            raise UsageError(f"std is {self.std.canonical}, expected numbers above 0")
        if not 0 <= self.side <= _MAX_SIDE:
            raise UsageError(f"side is {self.side}, expected 1 to {_MAX_SIDE}")
        object.__setattr__(self, "threshold", threshold_of(self.threshold, self.bits))

    @property
    def _network(self) -> Network:
        asking = OnnxAsking(
            self.mean,
            self.std,
            self.side,
            "" if self.output == _NONE else self.output,
            self.resize,
        )
        stamps = tuple(_stamp(path) for path in (self.file, Path(self.projection)))
        return _loaded(self.file, asking, self.projection, stamps)

    @property
    @override
    def bits(self) -> int:
        return self._network.bits

    @override
    def reads(self) -> tuple[Path, ...]:
        matrix = () if self.projection == _NONE else (Path(self.projection),)
        return (self.file, *files_beside(self.file), *matrix)

    @override
    def verdict(self, picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return self._network.verdict(picture)


def _stamp(path: Path) -> tuple[int, int]:
    """What tells a file from the one that lay there before; zeros where there is none."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=4)
def _loaded(
    file: Path,
    asking: OnnxAsking,
    projection: str,
    stamps: tuple[tuple[int, int], ...],  # noqa: ARG001 - of the files, for the cache
) -> Network:
    matrix = None if projection == _NONE else _matrix(Path(projection))
    return onnx_network(file, asking, matrix)


def _matrix(path: Path) -> NDArray[np.float64]:
    try:
        found = np.load(io.BytesIO(read_bytes(path, _MAX_PROJECTION)), allow_pickle=False)
    except FileError as error:
        raise UsageError(f"{path}: {error}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except Exception:  # NumPy raises what it likes
        raise UsageError(f"{path} is no NumPy file (.npy)") from None
    if not isinstance(found, np.ndarray) or found.ndim != 2 or found.dtype.kind != "f":
        raise UsageError(f"{path} holds no matrix (K, D) of floats")
    if 0 in found.shape or not np.isfinite(found).all():
        raise UsageError(f"{path} holds an empty matrix, or values that are not finite")
    return found.astype(np.float64)
