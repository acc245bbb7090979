"""What the scenes that move share: a thin sample in a coherent beam, its materials, and the beam."""
