"""Standard output and standard error that end no command, whoever reads them and in what letters.

A reader that went away, a closed stream, a full disk, letters that the encoding lacks, a warning
that quotes a stranger's file: a command goes on to its end, and its exit code says how that was.
"""

from __future__ import annotations

import codecs
import errno
import io
import logging
import os
import select
import sys
import threading
import traceback
import warnings
from types import TracebackType
from typing import Any, Final, TextIO, cast

from typing_extensions import Buffer, override

from hashbench.characters import numbered, shown

_HANDLER: Final = "hashbench.alike"
"""Our way with characters that an encoding lacks, as `codecs` knows it."""

_CHOSEN: Final = ("replace", "ignore", "xmlcharrefreplace", "namereplace")
"""Ways that nobody gets unless they asked for them, with PYTHONIOENCODING."""

_ALIKE: Final = str.maketrans(
    {
        "─": "-",
        "━": "-",
        "│": "|",
        "±": "+-",
        "†": "+",
        "…": "...",
        "\N{MULTIPLICATION SIGN}": "x",
        "\N{EN DASH}": "-",
        "\N{EM DASH}": "-",
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    }
)
"""What texts hold beyond ASCII that ASCII has something like."""


class PatientOutput(io.RawIOBase):
    """An output of the system whose writes never raise.

    A reader that is gone has had enough: what else is written is dropped. Other trouble is kept,
    for the end of the command.
    """

    def __init__(self, handle: int) -> None:
        """Write to an open file descriptor, which stays open."""
        self._handle = handle
        self._gone = False
        self.trouble: OSError | None = None

    @override
    def writable(self) -> bool:
        return True

    @override
    def fileno(self) -> int:
        return self._handle

    @override
    def isatty(self) -> bool:
        return os.isatty(self._handle)

    @override
    def write(self, content: Buffer, /) -> int:
        left = memoryview(content).cast("B")
        size = len(left)
        while left and not self._gone:
            try:
                left = left[os.write(self._handle, left) :]
            except BlockingIOError:  # a terminal that another program made non-blocking
                select.select((), (self._handle,), ())
            except OSError as error:
                self._gone = True
                if error.errno != errno.EPIPE:
                    self.trouble = error
        return size


def use_patient_streams() -> None:
    """Make standard output and error of this process patient, and what Python writes there text.

    Closed streams are thrown away. For the start of a program: it is not undone. Streams that
    somebody put in the place of the system's stay.
    """
    codecs.register_error(_HANDLER, _alike)
    for handle in range(3):
        _open_if_closed(handle)
    sys.stdin = sys.stdin or open(0, closefd=False)  # noqa: SIM115 - as long as the process
    sys.stdout = _patient(sys.stdout, 1)
    sys.stderr = _patient(sys.stderr, 2)
    warnings.formatwarning = _warning
    logging.setLogRecordFactory(_TextRecord)
    sys.excepthook = _exception
    sys.unraisablehook = _unraisable
    threading.excepthook = _exception_of_thread


def trouble_of_output() -> OSError | None:
    """Why something that was written to standard output did not come out, if it did not."""
    buffer = getattr(sys.stdout, "buffer", None)
    sys.stdout.flush()
    raw = getattr(buffer, "raw", buffer)
    return raw.trouble if isinstance(raw, PatientOutput) else None


def _open_if_closed(handle: int) -> None:
    """A closed one would be the next file that is opened, and be written to as that."""
    try:
        os.fstat(handle)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != handle:
            os.dup2(opened, handle)
            os.close(opened)
        os.set_inheritable(handle, True)


def _patient(stream: TextIO | None, handle: int) -> TextIO:
    """The stream that Python made for a descriptor, with patience; another as it is."""
    if stream is not None and (
        not isinstance(stream, io.TextIOWrapper) or not _is_of(stream, handle)
    ):
        return stream
    raw = PatientOutput(handle)
    if stream is None:
        return io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", _HANDLER, line_buffering=True)
    stream.flush()
    errors = stream.errors if stream.errors in _CHOSEN else _HANDLER
    # Python takes an unbuffered stream as well; its types do not know.
    unbuffered = cast("io.BufferedWriter", raw)
    return io.TextIOWrapper(
        unbuffered if stream.write_through else io.BufferedWriter(raw),
        stream.encoding,
        errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _is_of(stream: TextIO, handle: int) -> bool:
    try:
        return stream.fileno() == handle
    except (OSError, ValueError):
        return False


def _alike(error: UnicodeError) -> tuple[str, int]:
    """Characters that an encoding lacks: by what looks like them in ASCII, or by their numbers.

    Raises:
        UnicodeError: bytes that are no text were read, which is not written.
    """
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_ALIKE)
    return "".join(one if one.isascii() else numbered(one) for one in text), error.end


class _TextRecord(logging.LogRecord):
    """A message of a logger, of any library, fit to look at."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        if self.exc_info and self.exc_info[0] is not None:  # else a formatter writes it as it is
            lines = traceback.format_exception(*self.exc_info)
            self.exc_text = shown("".join(lines).rstrip("\n"), keep="\n\t")

    @override
    def getMessage(self) -> str:
        return shown(super().getMessage(), keep="\n\t")


def _warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    line: str | None = None,
) -> str:
    del line  # of a library's source, where the warning was raised: nothing for people
    place = f"{filename}:{lineno}: {category.__name__}: "
    return shown(f"{place}{message}", keep="\n\t") + "\n"


def _exception(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    lines = traceback.format_exception(kind, error, trace)
    sys.stderr.write(shown("".join(lines), keep="\n\t"))


def _unraisable(found: sys.UnraisableHookArgs) -> None:
    """Of a finaliser, say: nobody could have caught it."""
    if found.exc_value is not None:
        _exception(found.exc_type, found.exc_value, found.exc_traceback)


def _exception_of_thread(found: threading.ExceptHookArgs) -> None:
    if found.exc_value is not None and not isinstance(found.exc_value, SystemExit):
        _exception(found.exc_type, found.exc_value, found.exc_traceback)
