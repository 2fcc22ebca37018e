"""Commands that make the tables of docs/evidence; nothing else needs them."""
