"""Adapters: low-rank weight changes and how they are put on a model."""
