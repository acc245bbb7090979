"""Coherent diffraction imaging, from photon counts to pictures."""

__version__ = "0.1.0"
