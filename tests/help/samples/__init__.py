"""Small networks, files, cards and scores that several rooms test with."""
