"""Untrained neural fields."""
