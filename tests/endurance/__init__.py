"""Runs that take long, started by hand: `make soak`, `make kill`, `make threads`, `make eval-speed`."""
