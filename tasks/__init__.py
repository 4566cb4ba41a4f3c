"""Thin wrappers that give each stage its orchestration and tracking."""
