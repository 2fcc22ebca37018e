"""One artefact behind HTTP: the Open Inference Protocol for crops, ``/faces`` for photos, counters, and a page."""
