"""Ways to damage one file of a folder, each drawn from a seed, and undone afterwards."""

from __future__ import annotations

import os
import random
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

Damage = Callable[[Path, random.Random, Sequence[Path]], None]
"""Damages a file; told of all files of the folder."""


def flip(path: Path, rng: random.Random, _files: Sequence[Path]) -> None:
    content = bytearray(path.read_bytes() or b"\0")
    for _ in range(rng.choice((1, 1, 3))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def truncate(path: Path, rng: random.Random, _files: Sequence[Path]) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(max(1, len(content)))])


def empty(path: Path, _rng: random.Random, _files: Sequence[Path]) -> None:
    path.write_bytes(b"")


def append(path: Path, rng: random.Random, _files: Sequence[Path]) -> None:
    with path.open("ab") as file:
        file.write(rng.randbytes(rng.choice((1, 50, 5_000))))


def zeros(path: Path, rng: random.Random, _files: Sequence[Path]) -> None:
    content = bytearray(path.read_bytes())
    start = rng.randrange(max(1, len(content)))
    content[start : start + 64] = bytes(len(content[start : start + 64]))
    path.write_bytes(content)


def swap(path: Path, rng: random.Random, files: Sequence[Path]) -> None:
    """With another artifact's file of that name, or any other."""
    others = [one for one in files if one != path]
    alike = [one for one in others if one.name == path.name]
    path.write_bytes(rng.choice(alike or others).read_bytes())


def delete(path: Path, _rng: random.Random, _files: Sequence[Path]) -> None:
    path.unlink()


def deep(path: Path, rng: random.Random, _files: Sequence[Path]) -> None:
    depth = rng.choice((500, 950, 990, 100_000))
    opened, closed = rng.choice((("[", "]"), ('{"a":', "}")))
    inner = opened * depth + ("1" if opened != "[" else "") + closed * depth
    path.write_text(rng.choice((inner, f'{{"schema": {rng.choice((1, 2, 3))}, "a": {inner}}}')))


def not_a_number(path: Path, rng: random.Random, _files: Sequence[Path]) -> None:
    """One number of a JSON file becomes another thing."""
    text = path.read_bytes().decode("latin-1")
    numbers = list(re.finditer(r"(?<=[:\[, ])-?\d+(\.\d+)?(e-?\d+)?(?=[,\]}\s])", text))
    new = rng.choice(("NaN", "Infinity", "1e999", "9" * 400, "9" * 5_000, "true", '"1"', "null"))
    if not numbers:
        path.write_text(new)
        return
    found = rng.choice(numbers)
    path.write_bytes((text[: found.start()] + new + text[found.end() :]).encode("latin-1"))


def not_utf8(path: Path, rng: random.Random, _files: Sequence[Path]) -> None:
    content = path.read_bytes()
    place = rng.randrange(len(content) + 1)
    path.write_bytes(content[:place] + b"\xff\xfe\x80" + content[place:])


def utf16(path: Path, _rng: random.Random, _files: Sequence[Path]) -> None:
    path.write_bytes(path.read_bytes().decode("latin-1").encode("utf-16"))


def byte_order_mark(path: Path, _rng: random.Random, _files: Sequence[Path]) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def other_json(path: Path, rng: random.Random, _files: Sequence[Path]) -> None:
    choices = ("[]", "[1]", "{}", '"x"', "null", "1", '{"schema": 3}', '{"schema": 1, "cells": 5}')
    path.write_text(rng.choice(choices))


def newer(path: Path, rng: random.Random, _files: Sequence[Path]) -> None:
    text = path.read_bytes().decode("latin-1")
    schema = rng.choice(("4", "99", "9" * 300, '"3"', "3.0", "-1", "true", "0"))
    changed = re.sub(r'"schema": ?\d+', f'"schema": {schema}', text)
    path.write_bytes(changed.encode("latin-1"))


def duplicate_keys(path: Path, rng: random.Random, _files: Sequence[Path]) -> None:
    text = path.read_bytes().decode("latin-1")
    key = rng.choice(("schema", "key", "files", "cells", "metrics", "sha256", "seconds", "number"))
    value = rng.choice(("1", "null", "{}", '"x"', "[]"))
    place = rng.choice((text.find("{") + 1, max(1, text.rfind("}"))))
    pair = f'"{key}": {value}'
    pair = f"{pair}, " if place == text.find("{") + 1 else f", {pair}"
    path.write_bytes((text[:place] + pair + text[place:]).encode("latin-1"))


def folder(path: Path, _rng: random.Random, _files: Sequence[Path]) -> None:
    path.unlink()
    path.mkdir()
    (path / "file").write_text("x")


def pipe(path: Path, _rng: random.Random, _files: Sequence[Path]) -> None:
    path.unlink()
    os.mkfifo(path)


def link(path: Path, rng: random.Random, files: Sequence[Path]) -> None:
    path.unlink()
    others = [str(one) for one in files if one.exists()]
    path.symlink_to(rng.choice(("/dev/zero", "/dev/full", "/", "nowhere", str(path), *others[:3])))


def sparse(path: Path, rng: random.Random, _files: Sequence[Path]) -> None:
    """As large as a disk, and takes no room on it."""
    os.truncate(path, rng.choice((10**8, 10**10, 10**12)))


DAMAGES: Mapping[str, Damage] = {
    damage.__name__: damage
    for damage in (
        flip, truncate, empty, append, zeros, swap, delete, deep, not_a_number, not_utf8, utf16,
        byte_order_mark, other_json, newer, duplicate_keys, folder, pipe, link, sparse,
    )
}  # fmt: skip


@contextmanager
def damaged(path: Path, name: str, rng: random.Random, files: Sequence[Path]) -> Iterator[None]:
    """Damage one file for a while."""
    content = path.read_bytes()
    try:
        DAMAGES[name](path, rng, files)
        yield
    finally:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
