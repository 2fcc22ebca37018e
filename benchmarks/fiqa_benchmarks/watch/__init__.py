"""How good the best shots of a stream are, and how fast: clips with known truth, scored every way."""
