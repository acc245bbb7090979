"""What a training lowers: distances, labels, noise on the patterns."""
