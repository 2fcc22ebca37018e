"""ONNX graphs run node by node in PyTorch, in float32, float16 or with gradients."""
