"""Models that say what is in a picture: each a module that opens one from a folder."""
