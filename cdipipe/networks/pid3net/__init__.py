"""The untrained network of PID3Net."""
