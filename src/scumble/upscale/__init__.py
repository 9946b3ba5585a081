"""Larger pictures: by a model that was made for it, or by interpolation."""
