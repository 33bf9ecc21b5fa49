"""What kind of program a file holds, told from its content where that tells it."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Final

from hashbench.errors import FileError, UsageError
from hashbench.files import opened, why_no_file
from hashbench.hashing.weights.archive import SIGNATURE, members

_SCRIPT: Final = re.compile(r"[^/]+/code/.+")
_EXPORTED: Final = re.compile(
    r"[^/]+/(archive_format|models/.+\.json)|([^/]+/)?serialized_.+\.json"
)
_ONNX_SUFFIX: Final = ".onnx"


class ProgramKind(StrEnum):
    """The kinds of program; the values are stored, and stand in rows."""

    TORCHSCRIPT = "torchscript"
    EXPORT = "export"
    ONNX = "onnx"

    @property
    def file(self) -> str:
        """What a model's folder and the store call its file."""
        return f"program.{_ENDINGS[self]}"

    @property
    def spoken(self) -> str:
        """What a person calls it."""
        return _SPOKEN[self]


_ENDINGS: Final = {"torchscript": "pt", "export": "pt2", "onnx": "onnx"}
_SPOKEN: Final = {
    "torchscript": "TorchScript",
    "export": "a program of torch.export",
    "onnx": "ONNX",
}


def program_kind(path: Path) -> ProgramKind | None:
    """What kind of program a file is; `None` where it is none, and may hold a state dict.

    Archives are told by their members' names. ONNX has no mark of its own, so its name has to end
    in `.onnx`.

    Raises:
        UsageError: there is no such file, it cannot be read, or is a damaged archive that is called
            a program.
    """
    try:
        with opened(path) as file:
            head = file.read(len(SIGNATURE))
            if path.suffix.lower() == _ONNX_SUFFIX:
                return None if head == SIGNATURE else ProgramKind.ONNX
            if head != SIGNATURE:
                return None
            names = list(members(file, file.seek(0, 2)))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"model {path}: {why_no_file(path)}") from None
    except FileError as error:
        if path.suffix == ".pt2":
            raise UsageError(f"model {path} cannot be read: {error}") from None
        return None  # what is wrong with it, the reader of weights says
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UsageError(f"model {path} cannot be read: {reason}") from None
    if any(_EXPORTED.fullmatch(name) for name in names):
        return ProgramKind.EXPORT
    if any(_SCRIPT.fullmatch(name) for name in names):
        return ProgramKind.TORCHSCRIPT
    return None
