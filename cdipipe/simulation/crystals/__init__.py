"""Gold nanocrystals: shapes, relaxation by LAMMPS, voxels, inspection by OVITO."""
