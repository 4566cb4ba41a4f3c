"""Proof that a bundle answers as its source does, from fresh processes and held-out clips."""
