"""Whether samples have phases to learn."""

from __future__ import annotations

import numpy as np

from cdipipe.errors import InputError
from cdipipe.optics.phase_content import phase_content

LOOKED_AT, MOST_CHUNKS = 96, 16
"""Objects that are looked at, spread over so many chunks."""
FLAT = 0.9
"""Mean correlation of true shapes with phase zero and the truth above which a network would learn no phases."""


def check_phases(samples, settings) -> None:
    """Refuse samples whose phases hardly matter, for networks that are to find phases.

    Parameters
    ----------
    samples : corpus or pairs
    settings : of the training; only those with ``flat_phases`` care, and only where it is False

    Raises
    ------
    InputError   the true shape with phase zero correlates above 0.9 with the truth
    """
    if getattr(settings, "flat_phases", True):
        return
    correlation = flat_correlation(samples)
    if correlation > FLAT:
        raise InputError(
            f"{samples.folder}: true shapes with phase zero correlate {correlation:.3f} with the truth, so that there "
            f"are no phases to learn (limit {FLAT}); take stronger ones (crystal: --set loads=...), or ask for it by "
            "--set flat_phases=true"
        )


def flat_correlation(samples) -> float:
    """Mean of :func:`cdipipe.optics.phase_content.phase_content` over some objects."""
    chunks = samples.chunks
    chosen = [chunks[i] for i in np.unique(np.linspace(0, len(chunks) - 1, MOST_CHUNKS).astype(int))]
    each = -(-LOOKED_AT // len(chosen))
    found = []
    for chunk in chosen:
        objects = samples.read_chunk(*chunk, ["object"])["object"]
        places = np.unique(np.linspace(0, len(objects) - 1, each).astype(int))
        found += [phase_content(objects[place]).flat_correlation for place in places]
    return float(np.nanmean(found))
