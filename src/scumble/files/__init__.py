"""LoRA files: reading, writing, and the formats between."""
