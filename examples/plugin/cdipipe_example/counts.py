"""A reader: counts as text, a row of pixels per line, an empty line between frames."""

import numpy as np

from cdipipe.io.importing.readers import Reader
from cdipipe.io.importing.readers.container import ONLY, Container, listed
from cdipipe.io.stored import HeldArray


def open_counts(path, label, stack):
    frames = [frame.splitlines() for frame in path.read_text().strip().split("\n\n")]
    counts = np.array([[line.split() for line in frame] for frame in frames], dtype=np.int32)
    return Container("counts", label, {ONLY: listed(HeldArray(counts, label))})


READER = Reader("counts", "counts as text", ("counts",), open_counts)
