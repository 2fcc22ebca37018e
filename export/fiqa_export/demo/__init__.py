"""``make demo``: from a checkpoint to a page with scored faces, on any machine."""
