"""The built-in hashes, one file for each library; found by name, through their entry points."""
