"""What `torch.save` writes, described: a zip archive since torch 1.6, a row of pickles before.

The layouts: `torch/serialization.py` (`_save`, `_legacy_save`). Nothing of torch reads the file.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, Final

from hashbench.characters import briefly
from hashbench.errors import FileError
from hashbench.hashing.weights import archive
from hashbench.hashing.weights.pickled import MAX_BYTES, described
from hashbench.hashing.weights.pickled_values import PickledTensor, Storage
from hashbench.hashing.weights.stored import HOW_TO_SAVE, StoredTensor

LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C

_RECORD = "data.pkl"
_COUNT = struct.Struct("<q")

Place = Callable[[PickledTensor], StoredTensor]
"""Finds a tensor's values in the file; FileError where they are not as the tensor says."""


@dataclass(frozen=True)
class TorchFile:
    """What such a file holds.

    Attributes:
        content: see `described`.
        place: of a tensor in it.
        objects: see `Described`.
    """

    content: Any
    place: Place
    objects: str = ""


def read_archive(file: IO[bytes], size: int) -> TorchFile:
    """Describe a zip archive of `torch.save`.

    Raises:
        FileError: it is damaged, of another origin, or holds more than tensors and plain data.
    """
    found = archive.members(file, size)
    records = [name for name in found if name.rpartition("/")[2] == _RECORD]
    if any(name.rpartition("/")[2] == "constants.pkl" for name in found):
        raise FileError(
            "it is a TorchScript program: load it with torch.jit.load where you trust it, and save "
            "its state_dict()"
        )
    packed = next((name for name, member in found.items() if not member.plain), None)
    if packed is not None:
        raise FileError(
            f"its member '{briefly(packed)}' is compressed or encrypted, which torch.save "
            "does not do: unpack it, or fetch the file again"
        )
    if len(records) != 1:
        raise FileError("it is a zip archive, but none that torch.save wrote")
    root = records[0].removesuffix(_RECORD)
    order = found.get(f"{root}byteorder")
    if order is not None and _content(file, order, 16) != b"little":
        raise FileError("it was written on a big-endian machine: save it anew on another one")
    inside = described(io.BytesIO(_content(file, found[records[0]], MAX_BYTES)))

    def place(tensor: PickledTensor) -> StoredTensor:
        storage = tensor.storage
        member = found.get(f"{root}data/{storage.key}")
        if member is None:
            raise FileError("the archive does not hold its values")
        return _placed(tensor, member.begin, member.size)

    return TorchFile(inside.content, place, inside.objects)


def read_row(file: IO[bytes], size: int) -> TorchFile:
    """Describe a row of pickles, with the values behind: what torch wrote before version 1.6.

    Raises:
        FileError: as `read_archive`.
    """
    file.seek(0)
    head = io.BytesIO(file.read(MAX_BYTES))
    try:
        ours = described(head).content == LEGACY_MAGIC
    except FileError:
        ours = False
    if not ours:
        raise FileError(f"it is a pickle that torch.save did not write; {HOW_TO_SAVE}")
    described(head)  # the version of the layout, the same ever since
    about = described(head).content
    found = described(head)
    keys = described(head).content
    if isinstance(about, dict) and about.get("little_endian") is False:
        raise FileError("it was written on a big-endian machine: save it anew on another one")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise FileError("its pickle is damaged or cut off")
    places = _places(file, size, head.tell(), keys, found.storages)

    def place(tensor: PickledTensor) -> StoredTensor:
        where = places.get(tensor.storage.key)
        if where is None:
            raise FileError("the file does not hold its values")
        return _placed(tensor, *where)

    return TorchFile(found.content, place, found.objects)


def _places(
    file: IO[bytes], size: int, at: int, keys: list[str], storages: Mapping[str, Storage]
) -> dict[str, tuple[int, int]]:
    """Where each storage's values lie: behind the pickles, each after its own count."""
    places: dict[str, tuple[int, int]] = {}
    for key in keys:
        storage = storages.get(key)
        if storage is None:
            break  # of something that is no tensor: how wide its values are is not known
        file.seek(at)
        count = file.read(_COUNT.size)
        if len(count) < _COUNT.size:
            raise FileError("it is cut off (a download that did not finish?)")
        width = 1 if storage.dtype is None else storage.dtype.itemsize
        begin, length = at + _COUNT.size, width * _COUNT.unpack(count)[0]
        if not 0 <= length <= size - begin:
            raise FileError("it is cut off (a download that did not finish?)")
        places[key] = (begin, length)
        at = begin + length
    return places


def _placed(tensor: PickledTensor, begin: int, length: int) -> StoredTensor:
    storage = tensor.storage
    width = 1 if storage.dtype is None else storage.dtype.itemsize
    if length != width * storage.whole:
        raise FileError(
            f"{width * storage.whole:,} bytes are announced for its values, the file holds "
            f"{length:,}"
        )
    return StoredTensor(
        dtype=tensor.dtype,
        shape=tensor.shape,
        strides=tensor.strides,
        offset=tensor.offset,
        begin=begin + width * storage.base,
        size=width * storage.count,
    )


def _content(file: IO[bytes], member: archive.Member, limit: int) -> bytes:
    if member.size > limit:
        raise FileError(f"its pickle has {member.size:,} bytes, expected at most {limit:,}")
    file.seek(member.begin)
    return file.read(member.size)


def named(value: object) -> str:
    """What a value is, as a clause goes on after "it holds"."""
    if isinstance(value, dict):
        return "a dict" if value else "an empty dict"
    if isinstance(value, PickledTensor | StoredTensor):
        return "a value of type Tensor"
    name = getattr(value, "name", None) or type(value).__name__
    return f"a value of type {briefly(name)}"
