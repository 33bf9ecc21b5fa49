"""The images that ship with the package: a part of Fashion-MNIST (MIT, see LICENSE-fashion-mnist).

Holds no code. `fashion.xz` and `fashion.json` are written by `python -m hashbench.data.embed` and
read by `hashbench.data.packed`; never edit them by hand.
"""
