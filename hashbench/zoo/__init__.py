"""Models to hand on, imported ones and those of other repositories."""
