"""From a research checkpoint to ONNX and TensorRT, with a parity verdict at every step."""
