"""Ways to run an artefact, all behind one protocol."""
