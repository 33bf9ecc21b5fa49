"""Fixtures of the runner room: steps without a model, a disk that fails on demand, a tiny suite."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any

import pytest

from hashbench import atomic
from hashbench.plugins.registered import Registry
from hashbench.runner.steps import Step
from hashbench.runner.suite import Suite, from_plain

PLUGIN_FILES = Path(__file__).resolve().parents[1] / "plugins"


@dataclass(frozen=True)
class NamedStep(Step):
    """A step that is a name and what it reads from."""

    name: str
    before: tuple[Step, ...]
    kind = "model"

    @property
    def upstream(self) -> tuple[Step, ...]:
        return self.before

    @property
    def label(self) -> str:
        return self.name

    def described(self) -> dict[str, Any]:
        return {"name": self.name}


@pytest.fixture(scope="session")
def make_step() -> Callable[..., Step]:
    """Makes a step: (name, steps that it reads from...) -> step; its label is the name."""
    return lambda name, *before: NamedStep(name, before)


@pytest.fixture
def tiny_suite(fresh_registry: Registry) -> Callable[..., Suite]:  # noqa: ARG001
    """Builds a suite that runs in a blink on 8x8 images: (**keys of a suite file) -> suite."""

    def build(**changes: Any) -> Suite:
        files = [str(PLUGIN_FILES / "tiny_data.py"), *map(str, changes.pop("plugin", ()))]
        given = {
            "name": "tiny",
            "plugin": files,
            "dataset": "tiny",
            "backbone": "small-cnn:width=4,hidden=16",
            "bits": 8,
            "eps": "24/255",
            "defense": "none",
            "attack": "noise",
            "training": {"epochs": 2, "batch": 8},
            "budget": {"epochs": 1, "inner_steps": 1},
        }
        return from_plain({**given, **changes}, "the tiny suite")

    return build


class Disk:
    """Stands between `hashbench.atomic` and the disk: notes every call, and lets one fail.

    Attributes:
        calls: what was asked for, in order, as (call, file name).
        fail_at: the number of the call that raises, counted from 0.
        error: what it raises.
        watch: told of every call before it is made.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []
        self.fail_at = -1
        self.error: BaseException = OSError(errno.EIO, os.strerror(errno.EIO))
        self.watch: Callable[[], None] = lambda: None
        self._open_names: dict[int, str] = {}

    @property
    def failed(self) -> bool:
        """Whether the call that was to fail was made."""
        return 0 <= self.fail_at < len(self.calls)

    def note(self, call: str, name: str) -> None:
        self.watch()
        self.calls.append((call, name))
        if len(self.calls) - 1 == self.fail_at:
            raise self.error

    @contextmanager
    def between(self) -> Iterator[None]:
        """Everything inside goes through this object."""
        real = {name: getattr(Path, name) for name in ("open", "mkdir", "rename", "replace")}

        def wrapped(name: str) -> Callable[..., Any]:
            def call(path: Path, *arguments: Any, **options: Any) -> Any:
                self.note(name, path.name)
                result = real[name](path, *arguments, **options)
                return _File(self, path.name, result) if name == "open" else result

            return call

        def fsync(handle: int) -> None:
            self.note("fsync", self._open_names.get(handle, "folder"))
            os.fsync(handle)

        def open_folder(path: Path, flags: int) -> int:
            self.note("open folder", path.name)
            return os.open(path, flags)

        with pytest.MonkeyPatch.context() as patch:
            for name in real:
                patch.setattr(Path, name, wrapped(name))
            stand_in = SimpleNamespace(
                fsync=fsync, open=open_folder, close=os.close, O_RDONLY=os.O_RDONLY
            )
            patch.setattr(atomic, "os", stand_in)
            yield

    def remember(self, handle: int, name: str) -> None:
        self._open_names[handle] = name


class _File:
    """An open file whose writing may stop half-way, as on a full disk."""

    def __init__(self, disk: Disk, name: str, file: Any) -> None:
        self._disk, self._name, self._file = disk, name, file
        disk.remember(file.fileno(), name)

    def __enter__(self) -> _File:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def write(self, content: bytes) -> None:
        self._file.write(content[: len(content) // 2])
        self._file.flush()
        self._disk.note("write", self._name)
        self._file.write(content[len(content) // 2 :])

    def flush(self) -> None:
        self._file.flush()

    def fileno(self) -> int:
        return int(self._file.fileno())


@pytest.fixture
def disk() -> Callable[..., Disk]:
    """Makes a disk: (fail_at=-1, error=None) -> disk; use it as `with disk.between():`."""

    def make(fail_at: int = -1, error: BaseException | None = None) -> Disk:
        made = Disk()
        made.fail_at = fail_at
        made.error = error or made.error
        return made

    return make
