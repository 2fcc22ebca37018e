"""Sets, recognisers and quality networks in one resumable plan, with one page at the end."""
