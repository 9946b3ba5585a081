"""Work on LoRA files: verifying and changing them."""
