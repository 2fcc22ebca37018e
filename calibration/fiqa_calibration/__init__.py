"""Calibration images, activation ranges and sensitivity search of fiqa-edge."""
