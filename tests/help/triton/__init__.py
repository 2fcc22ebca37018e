"""Triton for tests: its server where it is installed, and a stand-in for the module that its models import."""
