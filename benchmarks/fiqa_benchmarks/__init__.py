"""Latency, accuracy and error-versus-discard benchmarks of fiqa-edge."""
