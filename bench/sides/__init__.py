"""The same training step by different programs: same frozen tensors, same batch, same numbers in the adapters."""
