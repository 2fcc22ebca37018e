"""Scores of crops: the scorer, its self-test, and the choice of a backend by trial."""
