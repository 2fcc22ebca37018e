"""Tests that a package runs on the networks it brings: ``pytest --pyargs fiqa_export.conformance``.

Every network of the entry points ``fiqa_edge.networks`` is tested; FIQA_NETWORK names one of them, or a network file.
"""
