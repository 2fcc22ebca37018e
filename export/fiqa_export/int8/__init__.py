"""int8 ONNX: calibration, the search for nodes that must stay in float32, and fitted weights."""
