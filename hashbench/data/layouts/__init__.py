"""Photographs as people have them: class folders, tables, metadata files, HuggingFace folders."""
