"""Sweeps: trainings that differ in a few settings, really trained on the same budget, and which of them to keep."""
