"""Frozen video encoders, one adapter a file, behind one protocol."""
