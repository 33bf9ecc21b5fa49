"""What a folder holds of fixed hashes and matches: cells, metrics, results. No torch."""
