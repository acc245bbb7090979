"""Scenes: one file each, found by its attribute SCENE."""
