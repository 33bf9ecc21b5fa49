"""Where exported pictures go: names that any file system takes, and no two of them the same.

    <hash>/<attack>/<eps with - for />/<the picture's name without its suffix>.png

Texts that are plain stay as they are: `pdq/evade/4-255/street/000000000139.png`. Of any other text
what is readable stays, and a part of its SHA-256 keeps it apart from the others.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

_PLAIN: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")
_MARKED: Final = re.compile(r"-[0-9a-f]{8}$")
_RADIUS: Final = re.compile(r"[0-9a-z][0-9a-z.-]*")
_LONGEST: Final = 80
"""Characters of a folder's name that is made, without its digest."""

_MOST_BYTES: Final = 240
"""Of a name: file systems take 255, and `.png` comes behind it."""

_FORBIDDEN: Final = frozenset('<>:"|?*\\')
"""Characters that Windows takes in no name."""


def export_folder(hash_: str, attack: str, eps: str) -> str:
    """The folder of the pictures of one cell, relative to that of the export.

    Args:
        hash_: canonical text of the hash, such as `pdq:threshold=20`.
        attack: canonical text of the attack.
        eps: as it was written, such as `4/255`.
    """
    radius = eps.replace("/", "-")
    last = radius if _RADIUS.fullmatch(radius) and _fits(radius) else _marked(eps)
    return f"{_folder_name(hash_)}/{_folder_name(attack)}/{last}"


def export_name(hash_: str, attack: str, eps: str, file: str) -> str:
    """Where one picture goes, relative to the folder of the export.

    Args:
        hash_: as for `export_folder`.
        attack: as for `export_folder`.
        eps: as for `export_folder`.
        file: one of `file_names`.
    """
    return f"{export_folder(hash_, attack, eps)}/{file}"


def file_names(names: Sequence[str]) -> tuple[str, ...]:
    """The files of a set of pictures, in the folder of a cell.

    A picture's folders are kept. Its suffix goes, unless another picture of the set would then get
    the same file: `a.jpg` beside `a.png` gives `a.jpg.png` and `a.png.png`. Names that differ in
    the case of their letters alone count as the same, since some file systems take them so.

    Args:
        names: of all pictures of the set, different from each other, with `/` between their parts.

    Returns:
        For each name a path of safe parts that ends in `.png`.
    """
    stages = [0] * len(names)
    while True:
        files = [_file(name, stage) for name, stage in zip(names, stages, strict=True)]
        holders = defaultdict[str, list[int]](list)
        for row, file in enumerate(files):
            holders[_key(file)].append(row)
        folders = {_key(str(above)) for file in files for above in PurePosixPath(file).parents}
        raised = [
            row
            for key, rows in holders.items()
            if len(rows) > 1 or key in folders
            for row in rows
            if stages[row] < _LAST_STAGE
        ]
        if not raised:
            return tuple(files)
        for row in raised:
            stages[row] += 1


_LAST_STAGE: Final = 2
"""0: without its suffix; 1: with it; 2: with a digest of the whole name."""


def _file(name: str, stage: int) -> str:
    *above, last = name.split("/")
    if stage == 0:
        last = PurePosixPath(last).stem if last.strip(".") else last
    stem = _marked(name, last) if stage == _LAST_STAGE else _part(last)
    return "/".join([*(_part(one) for one in above), f"{stem}.png"])


def _part(text: str) -> str:
    """A folder or file of a user's, as it is wherever that can be a name."""
    safe = (
        text.strip(". ")
        and text[0] not in ".~ "
        and text[-1] not in ". "
        and not any(one in _FORBIDDEN or unicodedata.category(one)[0] == "C" for one in text)
        and "/" not in text
    )
    return text if safe and _fits(text) else _marked(text)


def _folder_name(text: str) -> str:
    """A hash or an attack, as it is where it is plain."""
    plain = _PLAIN.fullmatch(text) and not text.endswith(".") and not _MARKED.search(text)
    return text if plain and len(text) <= _LONGEST else _marked(text)


def _marked(text: str, readable: str | None = None) -> str:
    """What is readable of a text, and a part of the text's SHA-256."""
    words = re.sub(r"[^a-z0-9.]+", "-", (text if readable is None else readable).lower())
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{words[:_LONGEST].strip('-.')}-{digest}".strip("-")


def _fits(text: str) -> bool:
    return len(text.encode("utf-8", "surrogatepass")) <= _MOST_BYTES


def _key(path: str) -> str:
    """What is the same for names that some file systems hold for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
