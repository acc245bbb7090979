"""What methods need of a measurement, each need declared once: its name, how messages call it, and how it is seen.

Methods name their needs, scenes name what their measurements have (``gives``), and a study compares the two before
anything is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cdipipe.errors import InputError
from cdipipe.measurement import Measurement
from cdipipe.phasing.registry import Method, Preparation, get_method


@dataclass(frozen=True)
class Need:
    """One thing that a measurement may have.

    Parameters
    ----------
    words : what a measurement with it has, in messages
    is_met : whether a measurement has it
    """

    words: str
    is_met: Callable[[Measurement], bool]


NEEDS: dict[str, Need] = {
    "static_region": Need("static region", lambda m: m.static_region is not None),
    "static_support": Need("static support", lambda m: m.known_static_support is not None),
    "object_support": Need("object support", lambda m: m.object_support is not None),
    "probe_modes": Need("probe modes", lambda m: m.probe_modes is not None),
    "movie": Need("frames of a movie", lambda m: m.stack == "movie"),
    "plane": Need("patterns of two dimensions", lambda m: m.stack != "volume"),
    "volume": Need("one pattern of three dimensions", lambda m: m.stack == "volume"),
    "alone": Need(
        "an object alone in a plane wave, without static region or probe modes",
        lambda m: m.static_region is None and m.probe_modes is None,
    ),
    # the network itself says if they are not there
    "weights": Need("weights of a trained network", lambda m: True),
}


def what_it_has(measurement: Measurement) -> set[str]:
    """Names of the needs that a measurement meets."""
    return {name for name, need in NEEDS.items() if need.is_met(measurement)}


def lacking(steps, has: Iterable[str]) -> list[tuple[Method, str]]:
    """(method, need) of everything that steps need and that is not there.

    Parameters
    ----------
    steps : (name, parameters) of each, as in a recipe
    has : names of needs that are met, as :func:`what_it_has` or a scene's ``gives`` tells them
    """
    has, missing = set(has), []
    for name, parameters in steps:
        method = get_method(name)
        own = has | ({"weights"} if getattr(parameters, "checkpoint", None) is not None else set())
        missing += [(method, need) for need in method.all_needs if need not in own]
        if isinstance(method, Preparation):
            has |= set(method.completes)
    return missing


def check_needs(measurement: Measurement, recipe) -> None:
    """Raise InputError if a measurement lacks what a method of the recipe needs."""
    for method, need in lacking(recipe.steps, what_it_has(measurement)):
        raise InputError(f"{method.name} needs a measurement with {NEEDS[need].words}; this one has none")
