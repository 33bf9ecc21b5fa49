"""Fixed hashes: perceptual ones and others that nobody trains here, and matches between them.

A fixed hash makes a code of a picture; two pictures match where their codes differ in at most `T`
bits. Here are the contract of a hash (`contract`), pictures and what an attacker may make of them
(`pictures`), how attacks meet a hash, what is proven of it, and what a threshold costs the
innocent. `hashers/` holds the built-in hashes.
"""
