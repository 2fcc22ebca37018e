"""`fiqa-export --doctor`: can plans be built and run on this machine, and if not, what to do."""
