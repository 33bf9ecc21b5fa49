"""Folders of list files that were made to break whoever reads them. The same for the same seed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from support.crafted_images import Content, crafted_images, made, sound_image

Change = Callable[[Path], object]

MANY = 10**6


@dataclass(frozen=True)
class Crafted:
    """One folder.

    Attributes:
        name: of the case.
        dataset: as it is named to a command.
        make: writes a sound folder.
        change: breaks it.
        broken: the file that is changed, below the folder.
    """

    name: str
    dataset: str
    make: Callable[[Path], object]
    change: Change
    broken: str

    def write(self, root: Path) -> None:
        """Make the folder, which must not exist."""
        root.mkdir()
        self.make(root)
        self.change(root / self.broken)


def write_images(root: Path) -> None:
    """Six images."""
    (root / "im").mkdir()
    for number in range(6):
        (root / f"im/{number}.png").write_bytes(sound_image("PNG", compress_level=number))


ROWS = {
    "train": (("im/0.png", "0 1"), ("im/1.png", "1 0")),
    "test": (("im/2.png", "1 0"), ("im/3.png", "0 1")),
    "database": (
        ("im/0.png", "0 1"),
        ("im/1.png", "1 0"),
        ("im/4.png", "1 1"),
        ("im/5.png", "0 0"),
    ),
}


def two_files(root: Path) -> None:
    """Layout A."""
    write_images(root)
    for stem, rows in ROWS.items():
        (root / f"{stem}_img.txt").write_text("".join(f"{path}\n" for path, _ in rows))
        (root / f"{stem}_label.txt").write_text("".join(f"{row}\n" for _, row in rows))
    (root / "classes.txt").write_text("cat\ndog\n")


def one_file(root: Path) -> None:
    """Layout B."""
    write_images(root)
    for stem, rows in ROWS.items():
        (root / f"{stem}.txt").write_text("".join(f"{path} {row}\n" for path, row in rows))


def written(content: Content) -> Change:
    """Put this in the file's place."""
    return lambda path: path.write_bytes(made(content))


def added(content: Content) -> Change:
    """Put this behind what the file has."""
    return lambda path: path.write_bytes(path.read_bytes() + made(content))


def line(content: Content) -> Change:
    """Put this in place of the second line."""

    def change(path: Path) -> None:
        lines = path.read_bytes().split(b"\n")
        path.write_bytes(b"\n".join([lines[0], made(content), *lines[2:]]))

    return change


def no_file(kind: str) -> Change:
    """Put something there that is no file."""

    def change(path: Path) -> None:
        path.unlink(missing_ok=True)
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "folder":
                path.mkdir()
            case "zeros":
                path.symlink_to("/dev/zero")
            case "random":
                path.symlink_to("/dev/urandom")
            case "loop":
                path.symlink_to(path.name)
            case "terminal":
                path.symlink_to("/dev/tty")
            case "dangling":
                path.symlink_to("nowhere")
            case "nothing":
                pass
            case _:
                raise ValueError(kind)

    return change


NO_FILES = ("pipe", "folder", "zeros", "random", "loop", "terminal", "dangling", "nothing")


def sparse(size: int) -> Change:
    """Make it so large, without a byte on the disk."""
    return lambda path: os.truncate(path, size)


def mutated(rng: Random) -> Change:
    """Flip, cut out, repeat and put in bytes, as this generator says."""

    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        for _ in range(rng.choice((1, 3, 10))):
            place = rng.randrange(len(content) + 1)
            match rng.randrange(5):
                case 0:
                    content[place : place + 1] = rng.randbytes(1)
                case 1:
                    del content[place : place + rng.randrange(1, 20)]
                case 2:
                    content[place:place] = content[place : place + 30] * rng.randrange(1, 40)
                case 3:
                    content[place:place] = rng.choice(_PIECES)
                case _:
                    content[place:place] = b"0123456789 \t\r\n/."[rng.randrange(16) :][:1]
        path.write_bytes(content)

    return change


_PIECES = (
    b"\0",
    b"\xff",
    b"\xed\xa0\x80",
    b"\x1b[2J\x1b]0;owned\x07",
    "\u202etxt.gnp".encode(),
    b"\xef\xbb\xbf",
    b"\r",
    b"\n\n",
    b"../../../etc/passwd",
    b"9" * 5_000,
    b"-1 1e999 nan",
    b"\xe2\x80\xa8",
    b"=cmd|' /C calc'!A1",
)

LIST_CHANGES: dict[str, Change] = {
    "mark": lambda path: path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes()),
    "two-marks": lambda path: path.write_bytes(b"\xef\xbb\xbf" * 2 + path.read_bytes()),
    "utf-16": lambda path: path.write_bytes(path.read_text().encode("utf-16")),
    "returns": lambda path: path.write_bytes(path.read_bytes().replace(b"\n", b"\r")),
    "empty": written(b""),
    "blank": written(b" \n"),
    "zip": written(b"PK\x03\x04" + bytes(range(256))),
    "nul": line(b"im/\0.png 0 1"),
    "escape": line(b"im/\x1b[31m.png 0 1"),
    "turned": line("im/\u202egnp.exe 0 1".encode()),
    "latin-1": line("im/é.png 0 1".encode("latin-1")),
    "surrogate": line(b"im/\xed\xa0\x80.png 0 1"),
    "absolute": line(b"/etc/passwd 0 1"),
    "upwards": line(b"../../etc/passwd 0 1"),
    "device": line(b"im/../../dev/zero 0 1"),
    "wide": line(lambda: b"im/1.png" + b" 0 1" * (MANY // 2)),
    "columns": line(lambda: b"0 1 " * (MANY // 2)),
    "endless": line(lambda: b"a" * 20_000_000),
    "digits": line(b"im/1.png " + b"1" * 100_000),
    "deep-path": line(b"a/" * 1_900 + b"b.png 0 1"),
    "lines": added(lambda: b"\n" * 2_000_000),
    "same": added(lambda: b"im/1.png 1 0\n" * 100_000),
    "numbers": written(b"im/0.png 0\nim/1.png 1\n"),
    "large": sparse(10**10),
    "holes": sparse(6 * 10**7),
}


def crafted_lists(rng: Random) -> Iterator[Crafted]:
    """Both layouts, each kind of damage in a list that the seed chooses; and broken images."""
    joint = [f"{stem}.txt" for stem in ROWS]
    pairs = [f"{stem}_{end}.txt" for stem in ROWS for end in ("img", "label")]
    changes = LIST_CHANGES | {kind: no_file(kind) for kind in NO_FILES}
    for name, change in changes.items():
        for make, lists in ((one_file, joint), (two_files, [*pairs, "classes.txt"])):
            broken = rng.choice(lists)
            yield Crafted(f"{name}-{broken}", "lists:crop=32", make, change, broken)
    for number in range(30):
        make, lists = rng.choice(((one_file, joint), (two_files, [*pairs, "classes.txt"])))
        broken = rng.choice(lists)
        change = mutated(Random(rng.random()))
        yield Crafted(f"mutated-{number}-{broken}", "lists:crop=32", make, change, broken)
    for number, (name, content) in enumerate(crafted_images(rng)):
        extra = ":crop=32,broken=exclude" if number % 3 == 0 else ":crop=32,wide=true"
        broken = f"im/{rng.randrange(6)}.png"
        yield Crafted(f"image-{name}", f"lists{extra}", one_file, written(content), broken)
    for kind in NO_FILES:
        yield Crafted(f"image-{kind}", "lists:crop=32", one_file, no_file(kind), "im/4.png")
