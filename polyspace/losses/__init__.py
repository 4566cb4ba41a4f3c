"""Losses between translated and true features, by name and weight."""
