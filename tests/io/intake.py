"""What the tests of intake share."""

import h5py
import numpy as np

from cdipipe.io.importing.assemble import import_files
from cdipipe.io.importing.options import ImportOptions

BAD = np.zeros((64, 64), np.uint8)
"""Rows that a mask, or a detector's own mark, calls bad."""
BAD[20:24] = 1


def imported(file, **options):
    """Measurement, facts of the account, and what it tells in one text."""
    measurement, account = import_files([file] if isinstance(file, str) else file, ImportOptions(**options))
    return measurement, account.facts, " | ".join(account.told())


def nexus(path, frames, **masks):
    with h5py.File(path, "w") as file:
        detector = file.create_group("entry/instrument/detector")
        file["entry"].attrs["NX_class"], detector.attrs["NX_class"] = "NXentry", "NXdetector"
        detector["data"] = frames
        for name, bits in masks.items():
            detector[name] = bits
    return str(path)
