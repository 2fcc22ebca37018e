"""Networks of users: opened from a TOML file, as a torch reference or as a reference in ONNX Runtime."""
