"""Parity: what is compared, within which budget, and the verdict on an artefact."""
