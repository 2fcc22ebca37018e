"""Data sets as they are published, read and written in one layout."""
