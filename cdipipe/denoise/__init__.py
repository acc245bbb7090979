"""Denoisers for images with white Gaussian noise of known standard deviation."""
