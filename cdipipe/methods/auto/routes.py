"""Which methods are worth trying on what kind of measurement, and why; measured by ``cdipipe bench auto``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cdipipe.methods.area_scan import PLANE_SHARES, VOLUME_SHARES
from cdipipe.methods.auto.look import Look

Recipes = Mapping[str, Mapping[str, Any]]

RAAR = {"method": "raar"}
GPS = {"method": "gps"}
HIO_ER = {"sequence": "3*(20*ER+180*HIO)+20*ER"}
SURE: Recipes = {"hio_er": HIO_ER}
"""For what nothing is known of."""
STATIC: Recipes = {"reference_lsq": {"method": "reference_lsq", "restarts": 1}, "raar": RAAR, "hio_er": HIO_ER}
PLACE: Recipes = {
    "static_estimate, then reference_lsq": {"steps": [{"static_estimate": {}}, {"reference_lsq": {}}], "restarts": 1},
    "hio_er": HIO_ER,
}
IN_SITU: Recipes = {"in_situ": {"method": "in_situ"}}
FIELD: Recipes = {"cdip": {"method": "cdip", "iterations": 150, "restarts": 1}}
PROBE: Recipes = {"mf_pie": {"method": "mf_pie"}, "cdip": {"method": "cdip", "restarts": 1}, "raar": RAAR}
NETWORK = {"steps": [{"cdi_nn": {}}, {"raar": {"iterations": 60}}, {"er": {"iterations": 20}}], "restarts": 1}
NETWORK_ER = {"steps": [{"cdi_nn": {}}, {"er": {"iterations": 60}}], "restarts": 1}
PLANES: Recipes = {"raar": RAAR, "hio_er": HIO_ER}
"""These fail in different ways: where they agree behind a beam stop, the centre was not needed."""
LATER: Recipes = {"gps": GPS, "oss": {"method": "oss"}}
"""Slower than the others; tried where bred starts do not convince, before areas."""
LEARNED: Recipes = {"cdi_nn, then raar": NETWORK, "cdi_nn, then error reduction": NETWORK_ER}
GUESS: Recipes = {"cdi_nn_3d": {"method": "cdi_nn_3d"}, "hio_er": HIO_ER}
VOLUMES: Recipes = {"hio_er": HIO_ER, "gps": GPS}
COMPACT: Recipes = {
    "unrolled, then error reduction": {"steps": [{"unrolled": {}}, {"er": {"iterations": 60}}], "restarts": 1}
}
"""Of large volumes it takes a sixth of the time of the others; where it explains no more than they, these follow."""
AREAS: Recipes = {"raar": RAAR, "hio_er": HIO_ER, "gps": GPS}
"""Phased inside supports of given areas: all areas by the first, the best one by the others."""
WIDE_GAP = 27
"""Voxels around the zero frequency: of a volume that lacks more, no support brings back what is missing."""
ENOUGH_OF_VOLUME = 3.0
"""Times the misfit of noise: right volumes left 1.8 to 1.9 times as much where starts agreed, wrong ones 4 and more."""
LARGE_VOLUME = 48**3
"""Voxels from which iterations take much longer than the network, whose pattern is always 32^3."""
LARGE_FRAME = 96**2
"""Pixels of a frame from which a hundred sweeps of ``mf_pie`` do not converge."""
BRIGHT = 50.0
"""Photons per pixel of a frame from which a neural field of all frames is better than they are one by one."""
MANY_FRAMES = 16
"""Frames from which a static structure can be told from what moves beside it."""


@dataclass(frozen=True)
class Route:
    """What to try.

    Parameters
    ----------
    because : why, in words
    sure : taken in this order without a race: the first that fits
    first : tried before the rounds; ends the race if its withheld misfit is below ``enough`` of the parameters
    rounds : races one after another, until one has a candidate that explains the data
    breeds : whether the best starts of all are averaged and phased again where no candidate explains the data
    ends_agreed : whether two candidates that find the same object end the race
    enough : a candidate whose starts agree ends the race if its withheld misfit is below so many times that of noise;
        ``enough`` of the parameters where that is more
    enough_bred : two groups of starts, bred apart, end the race if every pattern is below so many times the misfit of
        noise, or if both find the same object
    shares : of the array, for supports of given areas; tried where no candidate of the rounds explains the data
    """

    because: str
    sure: Recipes = field(default_factory=dict)
    first: Recipes = field(default_factory=dict)
    rounds: tuple[Recipes, ...] = ()
    breeds: bool = True
    ends_agreed: bool = False
    enough: float = 1.0
    enough_bred: float = 2.0
    shares: tuple[float, ...] = ()


def route_for(look: Look) -> Route:
    """What to try on a measurement.

    Parameters
    ----------
    look : what was seen of it
    """
    if look.static == "known":
        return Route("a known static structure makes the problem linear", STATIC)
    if look.static == "place known":
        many = look.stack == "movie" and look.patterns >= MANY_FRAMES
        return Route("a static structure of unknown content", {**IN_SITU, **PLACE} if many else PLACE)
    if look.probe:
        bright = look.stack == "movie" and look.pixels >= LARGE_FRAME and look.photons >= BRIGHT * look.pixels
        return Route("a known probe fixes the place", {**FIELD, **PROBE} if bright else PROBE)
    if look.is_volume and look.centre_missing > WIDE_GAP:
        return Route("no data tell what a volume without its centre looks like; a trained network guesses", GUESS)
    if look.is_volume:
        missing = look.centre_missing > 0
        return Route(
            "an object by itself in a volume",
            first=COMPACT if look.compact and look.pixels >= LARGE_VOLUME and not missing else {},
            rounds=(VOLUMES,),
            shares=VOLUME_SHARES if missing else (),
            breeds=False,
            ends_agreed=not missing,
            enough=1.0 if missing else ENOUGH_OF_VOLUME,
        )
    if look.centre_missing:
        because = "without the centre a support is held best by its area"
        return Route(because, rounds=(PLANES,), shares=PLANE_SHARES, ends_agreed=True, enough_bred=0.0)
    return Route("an object by itself", rounds=(PLANES, LEARNED), shares=PLANE_SHARES, ends_agreed=True)
