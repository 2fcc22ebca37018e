"""Embeddings of a recognition network for every image of a prepared data set."""
