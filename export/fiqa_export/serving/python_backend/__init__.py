"""What Triton's python backend runs: copied into model repositories as ``model.py``, imported by Triton alone."""
