"""How light goes from the object to the detector."""
