"""Fetching: from a server of the test's own that lies, breaks off, refuses, or tells the truth."""

from __future__ import annotations

import hashlib
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hashbench.data import fetching
from hashbench.data.fetching import fetch
from hashbench.data.origins import Origin, OriginFile
from hashbench.errors import DownloadError, UsageError, WriteError
from hashbench.progress import no_progress

CONTENT = bytes(range(256)) * 1000
Answer = Callable[[BaseHTTPRequestHandler], None]


def whole(content: bytes) -> Answer:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return answer


def broken_off(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT[:1000])


def endless(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(CONTENT)
    except OSError:
        return


def refused(handler: BaseHTTPRequestHandler) -> None:
    handler.send_error(403, "Forbidden")


def silent(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(CONTENT)))
    handler.end_headers()
    handler.wfile.write(CONTENT[:1000])
    handler.wfile.flush()
    released.wait(30)


released = threading.Event()


@contextmanager
def served(answer: Answer) -> Iterator[str]:
    """The address of a file that a server answers so."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - likewise
            """Say nothing."""

    released.clear()
    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/file.bin"
    finally:
        released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def origin(address: str, *more: OriginFile) -> Origin:
    file = OriginFile(
        "file.bin", len(CONTENT), hashlib.sha256(CONTENT).hexdigest(), address=address
    )
    return Origin("A file", address, "MIT", (("file.bin", ""),), (file, *more), fetched=True)


@pytest.fixture(autouse=True)
def _directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy of this machine."""
    monkeypatch.setenv("no_proxy", "*")


def test_a_file_comes_whole_and_is_told_of(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    with served(whole(CONTENT)) as address:
        found = fetch(origin(address), tmp_path / "to", lambda *step: steps.append(step))
    assert found == ["file.bin"]
    assert (tmp_path / "to/file.bin").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["file.bin"]
    assert steps == sorted(steps)
    assert steps[-1] == (len(CONTENT), len(CONTENT))


def test_what_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "file.bin").write_bytes(CONTENT)
    with served(refused) as address:
        assert fetch(origin(address), tmp_path, no_progress) == []


def test_another_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    for content in (b"mine", CONTENT[::-1]):
        (tmp_path / "file.bin").write_bytes(content)
        with (
            served(whole(CONTENT)) as address,
            pytest.raises(UsageError, match=r"file\.bin: it is there, and is not the file"),
        ):
            fetch(origin(address), tmp_path, no_progress)
        assert (tmp_path / "file.bin").read_bytes() == content


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (whole(CONTENT[:-1]), "255,999 bytes came, 256,000 were expected"),
        (whole(CONTENT[::-1]), "its SHA-256 is "),
        (whole(b" \n<!DOCTYPE html><html>log in</html>"), "a web page came in its place"),
        (whole(b""), "0 bytes came"),
        (broken_off, "1,000 bytes came|cannot be reached"),
        (endless, "more than 256,000 bytes came"),
        (refused, "the server answers 403 Forbidden"),
        (silent, "it cannot be reached"),
    ],
    ids=["short", "other", "page", "empty", "broken-off", "endless", "refused", "silent"],
)
def test_nothing_but_the_file_gets_its_name(
    answer: Answer, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "PATIENCE", 1)
    folder = tmp_path / "to"
    with served(answer) as address, pytest.raises(DownloadError, match=sentence):
        fetch(origin(address), folder, no_progress)
    assert list(tmp_path.iterdir()) == []


def test_an_earlier_file_stays_where_a_later_one_fails(tmp_path: Path) -> None:
    with served(whole(CONTENT)) as address:
        later = OriginFile("later.bin", 5, "0" * 64, address=address)
        with pytest.raises(DownloadError):
            fetch(origin(address, later), tmp_path / "to", no_progress)
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["file.bin"]


def test_nobody_listens(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(DownloadError, match="is this machine online"):
        fetch(origin(f"http://127.0.0.1:{port}/file.bin"), tmp_path, no_progress)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_one_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with served(whole(CONTENT)) as address, pytest.raises(KeyboardInterrupt):
        fetch(origin(address), tmp_path / "to", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_takes_no_more_is_told_by_the_file_s_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hashbench.data.fetching.os.fsync", full)
    with served(whole(CONTENT)) as address, pytest.raises(WriteError, match=r"to/file\.bin"):
        fetch(origin(address), tmp_path / "to", no_progress)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_one_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in ("file", "no/where"):
        with pytest.raises(UsageError, match="--to "):
            fetch(origin("http://127.0.0.1/"), tmp_path / place, no_progress)
