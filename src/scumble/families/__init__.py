"""Model families: the only place that knows how a base model is built."""
