"""fp16 ONNX: which nodes stay in float32, and the conversion of the others."""
