"""What became of trainings, read from their folders; nothing here imports torch."""
