"""Gradient descent on the pixels of an object: misfits, total variation, and the loop."""
