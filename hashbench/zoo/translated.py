"""State dicts of anybody's network, brought under HashModel's keys by rules.

The network's own keys say which of a file's are its own, whatever stands before them; the order and
shapes of its tensors do where a script put its children into a row. What is left is the head.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from hashbench.characters import briefly
from hashbench.errors import UsageError
from hashbench.hashing.headed import Hidden
from hashbench.hashing.model import HashModel
from hashbench.hashing.weights.unwrapped import keys_shown, variants
from hashbench.retrieval.packing import MAX_BITS
from hashbench.zoo.foreign import by_layout
from hashbench.zoo.heads import HASH_LAYER, Head, head_of

BACKBONE: Final = "backbone"
_SHOWN: Final = 3
_COUNTER: Final = "num_batches_tracked"
_PART: Final = re.compile(r"[^\s.=][^\s=]*")


@dataclass(frozen=True)
class Rename:
    """Keys that begin with one name are read as if they began with another.

    Attributes:
        old: whole parts of a key, such as `fc` or `model.head`.
        new: the same; `hash_layer` is the hash layer, `backbone` the network under it.
    """

    old: str
    new: str

    @classmethod
    def parse(cls, text: str) -> Rename:
        """Read `fc=hash_layer`.

        Raises:
            UsageError: it has not that form.
        """
        old, equals, new = (part.strip().rstrip(".") for part in text.partition("="))
        if not equals or not _PART.fullmatch(old) or not _PART.fullmatch(new):
            raise UsageError(
                f"--rename '{briefly(text)}': expected OLD=NEW, the first parts of keys, "
                f"as in fc={HASH_LAYER}"
            )
        return cls(old, new)

    def of(self, key: str) -> str:
        """The key by its new name, or as it is."""
        inside = f"{key}.".startswith(f"{self.old}.")
        return f"{self.new}{key[len(self.old) :]}" if inside else key


@dataclass(frozen=True)
class Translated:
    """A state dict under HashModel's keys.

    Attributes:
        state: `backbone.*` and `hash_layer.*`, without `mean` and `std`.
        hidden: the head's layers before the hash layer.
        bits: the code length K.
        normalisation: mean and deviation, where the file holds both.
        hash_layer: what the hash layer is called in the file.
        left_out: layers of the file that no code depends on.
    """

    state: dict[str, Tensor]
    hidden: tuple[Hidden, ...]
    bits: int
    normalisation: tuple[Tensor, Tensor] | None
    hash_layer: str
    left_out: tuple[str, ...]


def translated(
    state: Mapping[str, Tensor],
    network: HashModel,
    backbone: str,
    path: Path,
    *,
    renames: Sequence[Rename] = (),
    activation: str | None = None,
) -> Translated:
    """Find a network and its head in a state dict.

    Args:
        state: see `read_state`.
        network: of the backbone and any code length; may lie on the device `meta`.
        backbone: its name.
        path: where the state dict is from.
        renames: done first, one after the other.
        activation: see `head_of`.

    Raises:
        UsageError: there is no such network in it, or several; its head cannot be told; a rename
            that changes nothing.
    """
    wanted = {
        key.removeprefix(f"{BACKBONE}."): value
        for key, value in network.state_dict().items()
        if key.startswith(f"{BACKBONE}.")
    }
    features = network.hash_layer.in_features
    found = by_layout(_renamed(state, renames, path), backbone)
    found.refuse_unsound(path, backbone)
    everything = {**found.state, **found.rest}
    copies = _copies(everything, wanted, path)
    own = _named_alike(everything, wanted, copies) or _in_order(everything, wanted)
    if not own:
        raise UsageError(
            f"weights {path} is no checkpoint of {backbone}: {keys_shown(state)}, expected "
            f"{expected(wanted, features)}"
        )
    aside = {f"{prefix}{name}" for prefix in copies[1:] for name in wanted}
    rest = {key: one for key, one in everything.items() if key not in own and key not in aside}
    normalisation = _normalisation(rest, path)
    head = _head(rest, features, activation, path, wanted)
    if not 1 <= head.bits <= MAX_BITS:
        raise UsageError(
            f"weights {path}: its hash layer '{briefly(head.names[-1])}' gives {head.bits:,} bits, "
            f"expected 1 to {MAX_BITS}"
        )
    under = f"{BACKBONE}.base" if head.hidden else BACKBONE
    return Translated(
        {f"{under}.{name}": everything[key] for key, name in own.items()} | head.state(),
        head.hidden,
        head.bits,
        normalisation,
        head.names[-1],
        head.left_out,
    )


def expected(wanted: Mapping[str, Tensor], features: int) -> str:
    """The keys that a file may have, as words: the network's, under any prefix, and a layer."""
    return (
        f"{keys_shown(wanted, start='the ')}, under any prefix, and a linear layer of {features} "
        f"inputs, such as 'fc.weight'; --rename OLD=NEW gives keys other names (fc={HASH_LAYER}, "
        f"encoder={BACKBONE})"
    )


def _renamed(
    state: Mapping[str, Tensor], renames: Sequence[Rename], path: Path
) -> dict[str, Tensor]:
    """The state dict by new names, with as little taken off its keys as makes all renames do."""
    if not renames:
        return dict(state)
    faults = []
    for variant in variants(state):
        current = dict(variant)
        fault = ""
        for rename in renames:
            changed = {key: rename.of(key) for key in current}
            if all(new == old for old, new in changed.items()):
                fault = f"no key begins with '{briefly(rename.old)}'"
                break
            if len(set(changed.values())) < len(changed):
                twice = next(new for new, count in Counter(changed.values()).items() if count > 1)
                fault = f"two keys would be called '{briefly(twice)}'"
                break
            current = {changed[key]: value for key, value in current.items()}
        if not fault:
            return current
        faults.append(fault)
    raise UsageError(f"weights {path}: --rename: {faults[-1]}; {keys_shown(state)}")


def _copies(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], path: Path
) -> tuple[str, ...]:
    """The prefixes after which the whole network follows, the one that is meant first.

    Raises:
        UsageError: there are several, and none of them is `backbone`.
    """
    needed = [key for key in wanted if not key.endswith(_COUNTER)]
    whole = [
        key[: len(key) - len(needed[0])]
        for key in (found if needed else ())
        if key == needed[0] or key.endswith(f".{needed[0]}")
    ]
    whole = [one for one in whole if all(f"{one}{name}" in found for name in needed)]
    chosen = f"{BACKBONE}."
    if len(whole) > 1 and chosen not in whole:
        several = ", ".join(f"'{briefly(prefix)}'" for prefix in whole[:_SHOWN])
        raise UsageError(
            f"weights {path} holds the network {len(whole)} times, after {several}: say which one "
            f"is meant, as in --rename {briefly(whole[0].rstrip('.'))}={BACKBONE}"
        )
    return tuple(sorted(whole, key=lambda prefix: prefix != chosen))


def _named_alike(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], copies: Sequence[str]
) -> dict[str, str]:
    """The keys of a file that end as the network's own do after one prefix: its names by theirs.

    The prefix is the one after which all of them follow, or else most; none, where most are less
    than half.
    """
    counts = Counter(
        key[:start]
        for key in found
        for start in (0, *(at + 1 for at, letter in enumerate(key) if letter == "."))
        if key[start:] in wanted
    )
    if not counts:
        return {}
    prefix = copies[0] if copies else max(counts, key=lambda one: counts[one])
    if 2 * counts[prefix] < len(wanted):
        return {}
    names = {f"{prefix}{name}": name for name in wanted}
    return {key: names[key] for key in found if key in names}


def _in_order(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, str]:
    """The keys of a file that stand for the network's own, in the same order, by shape alone.

    So are the children of a network that a script put into a row: `0.weight`, `4.0.conv1.weight`.
    The last parts of the keys have to be equal too, and there may be one such stretch.
    """

    def signs(state: Mapping[str, Tensor]) -> list[tuple[str, tuple[int, ...]]]:
        return [
            (key.rpartition(".")[2], tuple(value.shape))
            for key, value in state.items()
            if not key.endswith(_COUNTER)
        ]

    keys = [key for key in found if not key.endswith(_COUNTER)]
    names = [name for name in wanted if not name.endswith(_COUNTER)]
    theirs, ours = signs(found), signs(wanted)
    starts = [
        start
        for start in range(len(theirs) - len(ours) + 1)
        if theirs[start] == ours[0] and theirs[start : start + len(ours)] == ours
    ]
    if not ours or len(starts) != 1:
        return {}
    own = dict(zip(keys[starts[0] :], names, strict=False))
    for key, name in list(own.items()):
        counter = f"{key.rpartition('.')[0]}.{_COUNTER}"
        if key.endswith("running_mean") and counter in found:
            own[counter] = f"{name.rpartition('.')[0]}.{_COUNTER}"
    return own


def _normalisation(rest: dict[str, Tensor], path: Path) -> tuple[Tensor, Tensor] | None:
    """Take mean and deviation out of what is left of a state dict, where it has both.

    Raises:
        UsageError: they are none of pixels in `[0, 1]`.
    """
    pairs = [
        (key, f"{key[: -len('mean')]}std")
        for key, value in rest.items()
        if key.rpartition(".")[2] == "mean" and value.numel() <= 4 and value.is_floating_point()
    ]
    pairs = [pair for pair in pairs if pair[1] in rest]
    if len(pairs) != 1:
        return None
    mean, std = (rest.pop(key).float().flatten() for key in pairs[0])
    sound = bool(torch.isfinite(torch.cat([mean, std])).all()) and bool((std > 0).all())
    if not sound or len(mean) != len(std) or float(mean.abs().max()) > 1:
        raise UsageError(
            f"weights {path}: '{briefly(pairs[0][0])}' and '{briefly(pairs[0][1])}' are no mean "
            "and deviation of pixels from 0 to 1: say them with --mean and --std, and leave these "
            "out of the file"
        )
    return mean, std


def _head(
    rest: Mapping[str, Tensor],
    features: int,
    activation: str | None,
    path: Path,
    wanted: Mapping[str, Tensor],
) -> Head:
    try:
        return head_of(rest, features, activation)
    except UsageError as error:
        raise UsageError(
            f"weights {path}: {error}; expected {expected(wanted, features)}"
        ) from None
