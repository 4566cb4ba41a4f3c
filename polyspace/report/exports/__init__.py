"""Exported bundles as people see them: the proof of each, and all formats side by side."""
