"""What a LoRA did, in numbers, each with what it was computed from."""
