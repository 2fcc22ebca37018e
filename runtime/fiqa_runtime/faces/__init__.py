"""From a photo to faces with quality: detection, alignment, scoring, drawing."""
