"""ONNX graphs: loading, writing, the passes that rewrite them, and the export from PyTorch."""
