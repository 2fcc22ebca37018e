"""What tests of several rooms share: fakes, samples, servers and places."""
