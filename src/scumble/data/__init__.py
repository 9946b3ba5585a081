"""Pictures and captions, from a folder to cached tensors."""
