"""What was found, on one page for people who decide, and as figures for a paper."""
