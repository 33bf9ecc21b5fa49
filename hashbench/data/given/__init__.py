"""Data that a program hands over, arrays or data sets of torch: read, checked, as three splits."""
