"""Datasets as the hub has them, in tables or archives; they become folders of pictures, which everything else reads."""
