"""What bench/gpu.py measures with: the steps of both sides, a clock that a GPU keeps, a card of less memory."""
