"""An export format: the amplitude as text."""

import numpy as np

from cdipipe.io.atomic import atomic_path
from cdipipe.io.export import Exporter, object_fields


def write(path, reconstruction):
    amplitude = object_fields(reconstruction)["amplitude"]
    with atomic_path(path) as part:
        np.savetxt(part, amplitude.reshape(-1, amplitude.shape[-1]), delimiter=",", fmt="%.6g")


EXPORT = Exporter("csv", "for spreadsheets: the amplitude, row by row", write)
