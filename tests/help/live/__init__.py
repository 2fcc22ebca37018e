"""What tests of streams share: faces that move, and cameras on the loopback interface."""
