"""An address is looked at before Ray is asked; Ray's folder goes, whoever was killed."""

from __future__ import annotations

import builtins
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from hashbench.errors import UsageError
from hashbench.runner.engines import cluster
from hashbench.runner.engines.cluster import address_of, check_address, find_ray
from hashbench.runner.engines.contract import Resources
from hashbench.runner.engines.ray_engine import RayEngine
from hashbench.runner.suite import quick


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], str]]:
    """Serves one answer to whoever connects: (bytes) -> HOST:PORT."""
    lines: list[socket.socket] = []

    def serve(answer: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        lines.append(server)

        def work() -> None:
            line, _ = server.accept()
            with line:
                line.recv(1024)
                line.sendall(answer)

        threading.Thread(target=work, daemon=True).start()
        return f"127.0.0.1:{server.getsockname()[1]}"

    yield serve
    for line in lines:
        line.close()


def test_what_speaks_as_a_head_does_is_let_through(answering: Callable[[bytes], str]) -> None:
    settings = bytes([0, 0, 6, 4, 0, 0, 0, 0, 0]) + bytes(6)
    check_address(answering(settings))
    check_address("auto")


@pytest.mark.parametrize("answer", [b"HTTP/1.0 400 Bad request\r\n\r\n", b"", b"\0\0"])
def test_what_speaks_otherwise_is_no_cluster(
    answering: Callable[[bytes], str], answer: bytes
) -> None:
    address = answering(answer)
    with pytest.raises(UsageError) as raised:
        check_address(address)
    assert str(raised.value).startswith(f"address '{address}': ")
    assert "cluster" in str(raised.value)


def test_where_nothing_answers_it_is_said_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(UsageError, match=r"no Ray cluster answers there \(Connection refused\)"):
        check_address(f"127.0.0.1:{port}")
    assert time.monotonic() - began < cluster._SECONDS_TO_ANSWER


@pytest.mark.parametrize(
    ("address", "part"),
    [
        ("head", "expected HOST:PORT"),
        ("head:", "expected HOST:PORT"),
        (":6379", "expected HOST:PORT"),
        ("head:0", "expected HOST:PORT"),
        ("head:65536", "expected HOST:PORT"),
        ("head:٣", "expected HOST:PORT"),
        ("ray://head:10001", "name HOST:PORT"),
        ("no such host.invalid:6379", "no Ray cluster answers"),
        ("a" * 300 + ":6379", "no Ray cluster answers"),
    ],
)
def test_an_address_that_is_none_is_refused(address: str, part: str) -> None:
    with pytest.raises(UsageError, match=part) as raised:
        check_address(address)
    assert len(str(raised.value)) < 400


def test_the_address_of_a_job_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert address_of(None) is None
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert address_of(None) == "10.0.0.1:6379"
    assert address_of("10.0.0.2:6379") == "10.0.0.2:6379"


def test_without_the_extra_its_name_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def none(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] == "ray":
            raise ModuleNotFoundError("No module named 'ray'")
        return real(name, *rest)

    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.setattr(builtins, "__import__", none)
    with pytest.raises(UsageError, match=r"pip install 'hashbench\[ray\]'"):
        find_ray()


def test_which_gpu_a_worker_of_a_cluster_gets_is_not_ours_to_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "hashbench.runner.engines.ray_engine.find_ray",
        lambda **_: type("Ray", (), {"is_initialized": staticmethod(lambda: False)}),
    )
    with pytest.raises(UsageError, match="devices: on a cluster Ray chooses"):
        RayEngine().check(quick(), Resources(2, (0, 1), "127.0.0.1:1"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cluster, "_LONGEST", 10**6)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path))
    return tmp_path


def test_the_folder_of_a_killed_run_goes_with_the_next_one(home: Path) -> None:
    left = home / "hashbench-ray-left"
    (left / "session").mkdir(parents=True)
    (left / "lock").touch()
    at_work = home / "hashbench-ray-work"
    at_work.mkdir()
    begun = home / "hashbench-ray-begun"  # its lock is not there yet
    begun.mkdir()
    old = home / "hashbench-ray-old"
    old.mkdir()
    os.utime(old, (0, 0))
    other = home / "other"
    other.mkdir()
    link = home / "hashbench-ray-link"
    link.symlink_to(other)
    with FileLock(at_work / "lock"), cluster._folder() as made:
        assert made.is_dir()
        with cluster._folder() as second:
            assert second != made
        assert not second.exists()
        assert made.is_dir()
    assert {path.name for path in home.iterdir()} == {at_work.name, begun.name, "other", link.name}


def test_a_folder_for_sockets_has_a_short_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("x" * 60)
    deep.mkdir()
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(deep))
    with cluster._folder() as made:
        assert len(str(made)) < 40
    assert not made.exists()
