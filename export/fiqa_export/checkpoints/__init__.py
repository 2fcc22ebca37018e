"""Weights of a network: the authors' checkpoints, loaded safely and strictly, and seeded ones."""
