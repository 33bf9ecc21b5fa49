"""A module that raises at import, as one does whose own dependency is missing or too old."""

raise RuntimeError("needs libexplosive 2, found 1")
