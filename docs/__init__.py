"""The documentation: pages, and in `generate` what makes the parts of them that come from the code."""
