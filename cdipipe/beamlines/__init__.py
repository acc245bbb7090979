"""Beamlines as data: one YAML file each, with the axes of goniometer and detector, motor names, units and detectors."""
