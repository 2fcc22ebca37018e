"""How the qualities of data sets are distributed, and how far they overlap."""
