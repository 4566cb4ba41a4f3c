"""Figures of merit, computed in float64."""
