"""Captioning: from a folder of pictures to a text beside each, and a page to look them over."""
