"""What commands share: errors as one line, exit codes, progress, and checks of output files."""
