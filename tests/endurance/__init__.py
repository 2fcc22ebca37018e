"""Runs that take long, started by hand: `make soak`, `kill`, `threads`, `scale`, `serving`, `eval-speed`."""
