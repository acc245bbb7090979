"""Gold crystals atom by atom: clipped from an fcc block, strained and relaxed by LAMMPS, binned into voxels."""
