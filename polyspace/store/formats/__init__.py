"""Formats in which features leave a store, one file each."""
