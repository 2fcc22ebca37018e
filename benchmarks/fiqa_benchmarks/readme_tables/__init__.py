"""Commands that make the tables of the README; nothing else needs them."""
