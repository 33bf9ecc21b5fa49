"""Packages: their versions, whether they can be imported, and what hashbench asks of them."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, requires, version
from typing import Final

from hashbench.characters import shortened
from hashbench.doctor.finding import LONGEST, Finding, State

REQUIRED: Final[Mapping[str, str]] = {
    "numpy": "numpy",
    "torch": "torch",
    "torchvision": "torchvision",
    "pandas": "pandas",
    "scipy": "scipy",
    "matplotlib": "matplotlib",
    "pillow": "PIL.Image",
    "safetensors": "safetensors",
    "filelock": "filelock",
    "rich": "rich",
    "typer": "typer",
    "typing_extensions": "typing_extensions",
}
"""Distributions that hashbench needs, and what is imported of each."""

PATIENCE: Final = 180
"""Seconds that the imports may take, from a slow disk too."""

_TRIED: Final = """
import importlib, json, os, sys
sys.path[:] = json.loads(sys.argv[1])
out = open(os.dup(1), "w", encoding="utf-8", errors="replace")
os.dup2(2, 1)
def tell(*words):
    out.write(json.dumps(words) + "\\n")
    out.flush()
for name in sys.argv[2:]:
    tell(name, None)
    try:
        importlib.import_module(name)
    except (Exception, SystemExit) as error:
        tell(name, type(error).__name__ + ": " + " ".join(str(error).split()))
    else:
        tell(name, "")
"""
"""Imports each module, and writes its name before, and why not after; last words name the guilty.

In a process of its own: a library that was built for another processor ends the process. What
libraries print, in Python or in C, goes another way.
"""

_NEEDED: Final = re.compile(r"([A-Za-z0-9_.-]+)\s*>=\s*([0-9.]+)$")


def failed_imports() -> dict[str, str]:
    """Import all that hashbench needs, in another process.

    Returns:
        Why not, by module; those that can be imported are not in it.

    Raises:
        OSError: no process can be started.
    """
    left = list(REQUIRED.values())
    faults: dict[str, str] = {}
    while left:
        told, ended = _told(left)
        faults |= {name: fault for name, fault in told.items() if fault}
        unfinished = [name for name, fault in told.items() if fault is None]
        done = [name for name, fault in told.items() if fault is not None]
        if not unfinished and len(done) < len(left):
            unfinished = [left[len(done)]]
        for name in unfinished:
            faults[name] = f"to import it {ended}"
        left = left[len(done) + len(unfinished) :]
    return faults


def _told(modules: list[str]) -> tuple[dict[str, str | None], str]:
    """By module why it cannot be imported, `None` where the process ended at it; and how it did."""
    try:
        done = subprocess.run(  # noqa: S603 - this Python, and words of our own
            [sys.executable, "-c", _TRIED, json.dumps(sys.path), *modules],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            check=False,
        )
        output, ended = done.stdout, _end(done.returncode)
    except subprocess.TimeoutExpired as late:
        output, ended = late.stdout or b"", f"takes more than {PATIENCE} s"
    told: dict[str, str | None] = {}
    for line in output.decode(errors="replace").splitlines():
        name, fault = json.loads(line)
        told[str(name)] = fault
    return told, ended


def _end(code: int) -> str:
    """How a process ended, as a clause: its exit code, or the signal that ended it."""
    if code >= 0:
        return f"ends Python with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = ": it was built for another processor" if name == "SIGILL" else ""
    return f"ends Python by {name}{hint}"


def versions() -> dict[str, str]:
    """The version of Python, of hashbench and of each package that is installed, by name."""
    found = {"python": platform.python_version()}
    for name in ("hashbench", *REQUIRED):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name) or ""
    return found


def python_and_hashbench() -> Iterator[Finding]:
    """The programs themselves."""
    where = f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"
    yield Finding("python", State.OK, f"{where}, {sys.executable}")
    try:
        yield Finding("hashbench", State.OK, version("hashbench"))
    except PackageNotFoundError:
        yield Finding(
            "hashbench",
            State.WRONG,
            "it is run from a folder, but not installed, so no plugin of its own is found: "
            "pip install hashbench, or pip install -e FOLDER",
        )


def packages(faults: Mapping[str, str]) -> Iterator[Finding]:
    """Every package that hashbench needs, with its version, and what is wrong with it.

    Args:
        faults: as `failed_imports` tells them.
    """
    wanted = _wanted()
    for name, module in REQUIRED.items():
        least = wanted.get(name, "")
        asked = f"'{name}>={least}'" if least else name
        try:
            found = version(name)
        except PackageNotFoundError:
            found = ""
        fault = faults.get(module, "")
        if fault:
            text = f"{found or 'no version'}: cannot be imported ({shortened(fault, LONGEST)})"
            yield Finding(name, State.WRONG, f"{text}; pip install --force-reinstall {asked}")
        elif found and least and _release(found) < _release(least):
            text = f"{found}, but hashbench needs {least} or newer"
            yield Finding(name, State.WRONG, f"{text}; pip install --upgrade {asked}")
        else:
            yield Finding(name, State.OK, found or "there, without a version")


def _wanted() -> dict[str, str]:
    """The least version of each package, as hashbench's own metadata say."""
    try:
        lines = requires("hashbench") or []
    except PackageNotFoundError:
        return {}
    found = (_NEEDED.match(line.strip()) for line in lines if "extra ==" not in line)
    return {match[1].replace("-", "_").lower(): match[2] for match in found if match}


def _release(text: str) -> tuple[int, ...]:
    """The numbers of a version: `2.13.0+cpu` is (2, 13, 0)."""
    digits = re.match(r"[0-9.]*", text)
    parts = tuple(int(part) for part in (digits[0] if digits else "").split(".") if part)
    return parts + (0,) * (4 - len(parts))
