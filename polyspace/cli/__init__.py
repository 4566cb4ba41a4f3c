"""The command ``polyspace``: what an operator asks of what PolySpace has made."""
