"""Published numbers, and measured ones beside them."""
