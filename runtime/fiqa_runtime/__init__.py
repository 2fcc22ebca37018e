"""Light runtime of fiqa-edge: score faces with any exported artefact; imports numpy and cv2 only."""
