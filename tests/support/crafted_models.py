"""Folders of models that were made to break a run: one file of a sound folder changed, seeded."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.crafted_weights import crafted_files

CARD, WEIGHTS = "card.json", "weights.safetensors"

JUNK: tuple[object, ...] = (
    *(
        None,
        True,
        -1,
        0,
        3.5,
        1e308,
        10**9,
        10**30,
        10**4000,
        "",
        "x",
        "\x1b]0;x\x07\u202e",
        "a" * 10**5,
    ),
    *([], [1], {}, {"a": 1}, [-1, 10**9, 3], [3, 10**12, 10**12], {"map": 2.0}, {"map": -0.5}),
    *({"map": "1"}, {"foo": 0.5}, {"map": 10**400}, "=cmd|' /C calc'!A0", "../../etc/passwd"),
    *({"base": {"a": {"b": {"c": [1]}}}}, {"compute": {"threads": 10**9}}, {"compute": 3}),
    *({"compute": {"device": "\x1b"}}, {"compute": {"attack_batch": 10**12}}, [[1]], {"": ""}),
)

BACKBONES = (
    "small-cnn:width=100000000",
    "small-cnn:hidden=1000000000000",
    "small-cnn:width=-1",
    "small-cnn:width=1e999999999",
    "small-cnn:width=" + "9" * 5000,
    "convnext-large",
    "alexnet",
    "resnet18:weights=/dev/zero",
    "resnet18:weights=/etc/passwd",
    "timm:model=../../x",
    "nosuch",
    "small-cnn@nosuch",
    ":::",
    "small-cnn:" + "a=1," * 200,
)


@dataclass(frozen=True)
class CraftedModel:
    """A folder.

    Attributes:
        name: what was changed.
        write: changes a copy of the sound folder.
    """

    name: str
    write: Callable[[Path], object]


def crafted_models(card: dict[str, Any], weights: bytes, seed: int) -> list[CraftedModel]:
    """Every change that is written out below, and some at random.

    Args:
        card: of the sound folder.
        weights: its weights.
        seed: of the random changes.
    """
    rng = random.Random(seed)
    return [*_fields(card), *_cards(card, rng), *_weights(weights, card, rng), *_places()]


def _fields(card: dict[str, Any]) -> Iterator[CraftedModel]:
    for field in card:
        for place, value in enumerate(JUNK):
            yield _with_card(f"{field}: {place}", {**card, field: value})
        left = {name: value for name, value in card.items() if name != field}
        yield _with_card(f"{field} left out", left)
    for backbone in BACKBONES:
        yield _with_card(f"backbone {backbone[:40]}", {**card, "backbone": backbone})
    for bits in (1, 15, 17, 512, 513, 2**31, 2**63):
        yield _with_card(f"bits {bits}", {**card, "bits": bits})
    for name in (
        "jpeg",
        "bit-depth:bits=10000000000",
        "saat",
        "nosuch",
        "jpeg:quality=" + "9" * 999,
    ):
        yield _with_card(f"wraps {name[:30]}", {**card, "wraps": True, "defense": name})


def _with_card(name: str, card: object) -> CraftedModel:
    return CraftedModel(name, lambda folder: (folder / CARD).write_text(json.dumps(card)))


def _with_text(name: str, content: bytes) -> CraftedModel:
    return CraftedModel(name, lambda folder: (folder / CARD).write_bytes(content))


def _cards(card: dict[str, Any], rng: random.Random) -> Iterator[CraftedModel]:
    sound = json.dumps(card).encode()
    deep = b'{"a":' * 400 + b"1" + b"}" * 400
    for name, content in {
        "empty": b"",
        "a list": b"[]",
        "a number": b"7",
        "deep": b"[" * 100_000,
        "deep recipe": sound.replace(b'"recipe": {', b'"recipe": {"deep": ' + deep + b","),
        "NaN": sound.replace(b'"seed": 0', b'"seed": NaN'),
        "BOM": b"\xef\xbb\xbf" + sound,
        "UTF-16": sound.decode().encode("utf-16"),
        "latin-1": sound.replace(b"fashion", b"f\xe9shion"),
        "long number": sound.replace(b'"seed": 0', b'"seed": ' + b"9" * 10_000),
        "twice": sound[:-1] + b',"bits": 1000000000}',
        "2 MB": sound[:-1] + b',"x": "' + b"x" * 2**21 + b'"}',
        "many values": sound[:-1] + b',"x": [' + b"1," * 300_000 + b"1]}",
        "half a pair": sound.replace(b"fashion", b"\\ud800"),
        "cut": sound[:200],
    }.items():
        yield _with_text(f"card: {name}", content)
    for place in range(40):
        damaged = bytearray(sound)
        for _ in range(rng.choice([1, 2, 8])):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        yield _with_text(f"card: flips {place}", bytes(damaged))


def _weights(weights: bytes, card: dict[str, Any], rng: random.Random) -> Iterator[CraftedModel]:
    def changed(name: str, content: bytes, *, known: bool = True) -> CraftedModel:
        def write(folder: Path) -> None:
            (folder / WEIGHTS).write_bytes(content)
            if known:  # else the hash would speak before the file is looked at
                (folder / CARD).write_text(json.dumps({**card, "weights": ""}))

        return CraftedModel(f"weights: {name}", write)

    yield changed("another file", weights + b"x", known=False)
    files = crafted_files(Path("canary"), 0, 1)
    tables = [one for one in files if one.name.startswith("table")]
    for file in tables[::3]:
        yield changed(file.name, file.content)
    for file in files[::25]:
        yield changed(f"any, {file.name}", file.content)
    length = 8 + int.from_bytes(weights[:8], "little")
    for place in range(40):
        damaged = bytearray(weights)
        for _ in range(rng.choice([1, 2, 8])):
            damaged[rng.randrange(length)] = rng.randrange(256)
        yield changed(f"flips {place}", bytes(damaged))
    for keep in (0, 5, 8, 100, length, len(weights) - 1):
        yield changed(f"cut at {keep}", weights[:keep])
    yield changed("NaN", weights[:-400] + b"\xff" * 400)


def _places() -> Iterator[CraftedModel]:
    def replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
        def write(folder: Path) -> None:
            (folder / name).unlink()
            make(folder / name)

        return write

    for name in (CARD, WEIGHTS):
        for what, make in {
            "nothing": lambda _: None,
            "a folder": Path.mkdir,
            "a pipe": os.mkfifo,
            "a link to a device": lambda path: path.symlink_to("/dev/zero"),
            "a link to nothing": lambda path: path.symlink_to("nowhere"),
            "a link to itself": lambda path: path.symlink_to(path.name),
        }.items():
            yield CraftedModel(f"{name} is {what}", replaced(name, make))
