"""Servers and clusters that tests start on the loopback interface, and stop."""
