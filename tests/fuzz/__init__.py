"""Damaged files and random command lines: whatever comes in is done or is one line."""
