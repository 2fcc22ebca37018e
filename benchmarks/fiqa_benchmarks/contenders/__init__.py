"""What an artefact is measured against: other backends, PyTorch, an export without our passes."""
