"""Variants side by side, drawn from the same noise."""
