"""Data sets, plans, and plain computations that fiqa-eval is held against."""
