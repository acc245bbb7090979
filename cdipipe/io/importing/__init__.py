"""From a detector's or beamline's file to a measurement."""
