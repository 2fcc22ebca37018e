"""From a photo to scored faces, timed beside the flow of OpenCV Zoo's demo."""
