"""Runs that take long, started by hand: `make soak`, `kill`, `threads`, `serving`, `eval-speed`."""
