"""Latency, memory and arithmetic throughput of one artefact in several backends."""
