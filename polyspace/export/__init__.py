"""Bundles: reduced-precision weights that carry the proof that they still agree."""
