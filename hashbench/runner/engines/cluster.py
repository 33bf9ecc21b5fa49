"""A Ray cluster: one that is there, or one that is started on this machine and ends with the run.

Nothing of Ray's own is shown, sent, or left behind: no banner, no dashboard, no statistics of use,
no handler of signals, no folder of logs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from hashbench.characters import MAX_SAID, first_line, shortened
from hashbench.errors import UsageError

ADDRESS: Final = "RAY_ADDRESS"
"""Where Ray itself looks for the address of the cluster; a job that was submitted to one finds it
there."""

_PREFIX: Final = "hashbench-ray-"

_LONGEST: Final = 30
"""Characters of a folder for Ray's sockets: their paths, 70 longer, may have 107 in all."""

_YOUNG: Final = 60.0
"""Seconds in which a folder without a lock may be one that is being made."""

_OBJECTS: Final = 80 * 2**20
"""Bytes of Ray's store of objects, nearly the least that it takes: only lines of text pass."""

_SECONDS_TO_ANSWER: Final = 5.0

_MODE: Final = "RAY_AUTH_MODE"
_TOKEN: Final = "RAY_AUTH_TOKEN"  # noqa: S105 - the name of a variable

_QUIET: Final = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    # Its wish to leave CUDA_VISIBLE_DEVICES alone for workers without a GPU; else it prints a tip.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


def find_ray(*, own: bool = False) -> Any:
    """The module `ray`.

    Args:
        own: a cluster of our own will be started: only who has its token may give it work. Ray
            would write one into the home folder.

    Raises:
        UsageError: it is not installed.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    if "ray" not in sys.modules and _MODE not in os.environ:
        if own:
            os.environ.setdefault(_TOKEN, secrets.token_hex(32))
        if own or _has_token():  # Ray looks for one too late
            os.environ[_MODE] = "token"
    try:
        return import_module("ray")
    except ImportError as error:
        raise UsageError(
            f"the engine 'ray' needs the package ray ({error}): pip install 'hashbench[ray]'"
        ) from None


def _has_token() -> bool:
    """Whether Ray would find a token of the user's."""
    if any(os.environ.get(name) for name in (_TOKEN, f"{_TOKEN}_PATH")):
        return True
    home = os.path.expanduser("~")  # noqa: PTH111 - of a user without a home it raises nothing
    return Path(home, ".ray", "auth_token").is_file()


def address_of(named: str | None) -> str | None:
    """The address that was named, or the one that Ray's own variable names, if there is one."""
    return named or os.environ.get(ADDRESS) or None


def check_address(address: str) -> None:
    """See whether something answers there as a cluster's head does.

    Ray asks an address that is none for two minutes, and writes about it.

    Raises:
        UsageError: nothing does; says so.
    """
    if address == "auto":
        return
    what = f"address '{shortened(address)}'"
    host, _, port = address.rpartition(":")
    if "://" in address:
        raise UsageError(
            f"{what}: name HOST:PORT, as 'ray start --head' prints it, on a machine of the cluster"
        )
    if not host or not (port.isascii() and port.isdigit()) or not 0 < int(port) < 2**16:
        raise UsageError(f"{what}: expected HOST:PORT, such as 10.0.0.1:6379")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER) as line:
            if os.environ.get("RAY_USE_TLS", "0") in ("", "0") and not _speaks_http2(line):
                raise UsageError(f"{what}: what answers there is no Ray cluster")
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise UsageError(
            f"{what}: no Ray cluster answers there ({reason}); 'ray start --head' starts one and "
            "prints its address"
        ) from None


def _speaks_http2(line: socket.socket) -> bool:
    """Whether the other side answers the preface of HTTP/2 (RFC 9113, 3.4) with its settings."""
    settings = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
    line.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings)
    answer = b""
    with contextlib.suppress(TimeoutError):
        while len(answer) < len(settings) and (more := line.recv(len(settings) - len(answer))):
            answer += more
    return len(answer) == len(settings) and answer[3] == settings[3]


@contextlib.contextmanager
def joined(address: str) -> Iterator[Any]:
    """The module `ray`, connected to a cluster; a connection of the program's own is used as it is.

    Raises:
        UsageError: there is none, or it refuses this machine; says why.
    """
    ray = find_ray()
    if ray.is_initialized():
        yield ray
        return
    what = f"address '{shortened(address)}'"
    with _started(ray, what, address=address):
        yield ray


@contextlib.contextmanager
def own_cluster(cpus: int, devices: tuple[int, ...] | None) -> Iterator[Any]:
    """The module `ray`, connected to a cluster of this machine alone, which nobody else can reach.

    A connection of the program's own is used as it is.

    Args:
        cpus: how many it shall count, there or not.
        devices: the numbers of the GPUs that it has, none of them if empty; `None`: those that
            torch finds.

    Raises:
        UsageError: it cannot be started; says why.
    """
    ray = find_ray(own=True)
    if ray.is_initialized():
        yield ray
        return
    with _folder() as folder, _shown(devices) as gpus:
        options = {
            "num_cpus": cpus,
            "num_gpus": gpus,
            "include_dashboard": False,
            "object_store_memory": _OBJECTS,
            "_temp_dir": str(folder),
            "_node_ip_address": "127.0.0.1",
        }
        with _started(ray, "Ray on this machine", address="local", **options):
            yield ray


@contextlib.contextmanager
def _started(ray: Any, what: str, **options: Any) -> Iterator[None]:
    hook = sys.excepthook
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with _signals_kept(), _muted():
            try:
                ray.init(log_to_driver=False, configure_logging=False, **options)
            except (Exception, SystemExit) as error:  # of Ray, which has many
                raise UsageError(f"{what}: {_said(error)}") from None
            finally:
                sys.excepthook = hook
        with _errors_unprinted():
            yield
    finally:
        with _undisturbed(), contextlib.suppress(Exception):
            ray.shutdown()
        logger.setLevel(level)


@contextlib.contextmanager
def _errors_unprinted() -> Iterator[None]:
    """Ray prints to standard output that a worker died, whatever it was told about logs.

    No option of its keeps it from that, so the function that prints is put aside; a version of Ray
    that has none of this name prints again, and no more than that.
    """
    module, name = sys.modules.get("ray._private.worker"), "print_to_stdstream"
    before = getattr(module, name, None)
    if module is None or before is None:
        yield
        return
    setattr(module, name, lambda *_, **__: None)
    try:
        yield
    finally:
        setattr(module, name, before)


def _said(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return "it did not answer as a Ray cluster does"
    if "mismatch" not in str(error):
        return first_line(error)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return shortened(" ".join(lines[:4]), MAX_SAID)


@contextlib.contextmanager
def _muted() -> Iterator[None]:
    """Nothing that is written to standard error comes out: Ray's core writes there by itself."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)
        os.close(nothing)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray would end the program at SIGTERM in its own way."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            if handler is not None:
                signal.signal(number, handler)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """What is inside takes a second, and another Ctrl-C must not leave half of it undone."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _shown(devices: tuple[int, ...] | None) -> Iterator[int]:
    """How many GPUs Ray shall count; it is shown these alone."""
    if devices is None:
        import torch

        yield torch.cuda.device_count()
        return
    name = "CUDA_VISIBLE_DEVICES"
    before = os.environ.get(name)
    if devices:
        os.environ[name] = ",".join(map(str, devices))
    try:
        yield len(devices)
    finally:
        if devices:
            os.environ.pop(name)
            if before is not None:
                os.environ[name] = before


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """A folder for Ray's sockets and logs, with a short path; gone at the end.

    What a killed run has left is deleted by the next one: the system has let go of its lock.
    """
    home = Path(tempfile.gettempdir())
    if len(str(home)) > _LONGEST and Path("/tmp").is_dir():  # noqa: S108 - a folder is made in it
        home = Path("/tmp")  # noqa: S108
    for rest in home.glob(f"{_PREFIX}*"):
        _sweep(rest)
    made = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=home))
    lock = FileLock(made / "lock")
    lock.acquire()
    try:
        yield made
    finally:
        with _undisturbed():
            shutil.rmtree(made, ignore_errors=True)
            with contextlib.suppress(OSError):
                lock.release()


def _sweep(rest: Path) -> None:
    with contextlib.suppress(OSError):
        if rest.is_symlink() or rest.stat().st_uid != os.getuid():
            return
        if time.time() - rest.stat().st_mtime < _YOUNG and not (rest / "lock").exists():
            return
        try:
            with FileLock(rest / "lock", timeout=0):
                shutil.rmtree(rest, ignore_errors=True)
        except Timeout:
            return  # of a run that is at work
