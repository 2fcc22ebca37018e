"""Scores against opinion scores of people: rank and linear correlation, with confidence intervals."""
