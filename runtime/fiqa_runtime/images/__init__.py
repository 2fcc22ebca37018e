"""From files to network input: reading, resampling, alignment, crops, preprocessing."""
