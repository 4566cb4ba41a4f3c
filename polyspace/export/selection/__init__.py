"""Choosing one checkpoint of many: what is wanted, what was measured, and who wins."""
