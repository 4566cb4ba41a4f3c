"""PolySpace: run video encoders once, translate one into the others, fuse, and prove it."""
