"""The images that ship with the package: a part of Fashion-MNIST (MIT, see LICENSE-fashion-mnist).

Holds no code. `fashion.xz` and `fashion.json` are written by `python -m
hashbench.data.garments.embed` and read by `hashbench.data.garments.embedded_file`; never edit them
by hand.
"""
