"""ONNX files read and changed as bytes, without the onnx package."""
