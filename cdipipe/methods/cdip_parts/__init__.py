"""The parts of CDIP: box, forward model of a field, misfits, and the fit."""
