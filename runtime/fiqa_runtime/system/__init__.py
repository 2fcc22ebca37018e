"""Files, caches, downloads, processors and parallel work: what knows nothing of faces."""
