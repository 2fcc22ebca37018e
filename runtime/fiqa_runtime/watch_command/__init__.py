"""What ``fiqa-watch`` does with a stream: pictures, lines, video, window, webhook and metrics."""
