"""Bragg coherent diffraction: from a phased rocking curve to displacement and strain in nanometres."""
