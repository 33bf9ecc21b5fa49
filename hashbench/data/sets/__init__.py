"""The data sets, one plugin a file; nobody imports them, they are found by name."""
