"""Example plugins for hashbench: see `fgsm_hamming` for an attack, `noise_training` for a defense.

Nothing needs to be imported or registered here: the entry points name the modules themselves.
"""
