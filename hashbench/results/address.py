"""Where an artifact lies in a store."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from hashbench.characters import shortened
from hashbench.errors import UsageError
from hashbench.results.artifacts import ARTIFACTS, KEY_DIGITS

SHA256: Final = re.compile(r"[0-9a-f]{64}")
MAX_SLUG: Final = 8_000

_UNREADABLE: Final = re.compile(r"[^a-z0-9.]+")
_KIND: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True)
class Address:
    """Where an artifact lies.

    Attributes:
        kind: an `ArtifactKind`, or what a later version adds to them.
        slug: a readable hint, no part of the identity.
        key: SHA-256 of what makes it.
    """

    identity: ClassVar[bool] = True

    kind: str
    slug: str
    key: str

    def __post_init__(self) -> None:
        """Refuse what would be no folder inside of a store.

        Raises:
            UsageError: the kind is no plain word, the key no SHA-256, or the slug too long.
        """
        if not _KIND.fullmatch(self.kind):
            raise UsageError(f"'{shortened(self.kind)}' is no kind of artifact")
        if not SHA256.fullmatch(self.key):
            raise UsageError(f"'{shortened(self.key)}' is no key: expected 64 hexadecimal digits")
        if len(self.slug) > MAX_SLUG:
            raise UsageError(f"a slug of {len(self.slug):,} characters, expected {MAX_SLUG:,}")

    @property
    def path(self) -> Path:
        """Its folder, relative to the store."""
        return Path(ARTIFACTS) / self.kind / self.folder_name

    @property
    def folder_name(self) -> str:
        """The last part of `path`."""
        readable = _UNREADABLE.sub("-", self.slug.lower()).strip("-")[:60]
        return f"{readable}-{self.key[:KEY_DIGITS]}"
