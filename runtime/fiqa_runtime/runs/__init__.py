"""Long runs over many files: outputs that grow, a journal to go on from, shares of a list, several processes."""
