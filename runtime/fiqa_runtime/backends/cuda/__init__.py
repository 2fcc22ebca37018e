"""CUDA memory, streams and events through PyCUDA or cuda-python."""
