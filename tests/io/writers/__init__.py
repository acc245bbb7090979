"""Small files as detectors, beamlines and programs of the field write them, each with the same frames.

Every function with ``@writer`` is in :data:`WRITERS` by its name.
"""

from writers import files, hdf5, matlab  # noqa: F401  each registers its writers
from writers.record import WRITERS, Written, bad_pixels, made_up_frames

__all__ = ["WRITERS", "Written", "bad_pixels", "made_up_frames"]
