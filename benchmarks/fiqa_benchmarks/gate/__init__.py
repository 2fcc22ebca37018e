"""A gate for CI: scores of a new artefact against a baseline, judged by a budget."""
