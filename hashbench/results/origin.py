"""Where one number comes from. Plain data that knows no cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Provenance:
    """Where one number comes from.

    Attributes:
        folder: of results, as it was named.
        key: of the artifact that holds its scores: SHA-256 of all that made it.
        environment: versions, processor, device and git state of who made it, by name.
        plugins: SHA-256 of what its plugins are, parameters, version and source, by kind.
        made: when, as ISO 8601; empty where nobody wrote it down.
    """

    folder: str = ""
    key: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    plugins: Mapping[str, str] = field(default_factory=dict)
    made: str = ""
