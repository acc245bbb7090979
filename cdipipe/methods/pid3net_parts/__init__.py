"""Parts of PID3Net."""
