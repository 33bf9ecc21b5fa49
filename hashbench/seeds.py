"""Seeds from words: every random stream is named by what it is for, never by when it is drawn."""

from __future__ import annotations

import hashlib
import json


def seed_of(*parts: object) -> int:
    """A 63-bit seed for the stream that `parts` name.

    SHA-256 of the parts' JSON, so the same on every machine, and unrelated for different parts.

    Args:
        parts: texts and whole numbers, such as `("train", "fashion", 0)`.
    """
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
