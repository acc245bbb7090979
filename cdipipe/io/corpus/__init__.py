"""Corpora of training data on disk."""
