"""Parts of multi-frame PIE."""
