"""Which shots of a stack a rule keeps, see ``cdipipe.shot_rules``."""

from __future__ import annotations

import operator
from dataclasses import replace

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.importing.account import Account
from cdipipe.measurement import Measurement
from cdipipe.shot_rules import read_rule

SIGNS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def choose(measurement: Measurement, text: str) -> np.ndarray:
    """Which shots a rule keeps, judged by their patterns.

    Parameters
    ----------
    measurement : Measurement
    text : of the rule

    Returns
    -------
    (N,) bool

    Raises
    ------
    InputError   shots cannot be judged, or none is kept
    """
    from cdipipe.metrics.hits import find_hits

    rule, hits = read_rule(text), find_hits(measurement)
    if hits is None:
        what = f"a {measurement.stack}" if measurement.stack != "shots" else "beside a known probe or structure"
        raise InputError(f"keep_shots: shots are judged in a stack of single objects; this measurement is {what}")
    kept = {"all": True, "single": hits.kind == "single", "hits": hits.kind != "blank"}[rule.word]
    kept = np.broadcast_to(kept, hits.kind.shape).copy()
    values = {"photons_per_pixel": hits.per_pixel, "score": hits.score, "photons": hits.photons, "beyond": hits.beyond}
    for name, sign, number in rule.conditions:
        kept &= SIGNS[sign](values[name], number)
    if not kept.any():
        counts = ", ".join(f"{count} {kind}" for kind, count in hits.count.items() if count)
        raise InputError(f"keep_shots: {text}: none of {len(kept)} shots fits ({counts})")
    return kept


def keep_of_import(measurement: Measurement, text: str | None, account: Account) -> Measurement:
    """The stack of the shots that a rule keeps; their numbers go into the account.

    Parameters
    ----------
    measurement : Measurement that was read
    text : of the rule; None keeps everything
    account : of the import

    Raises
    ------
    InputError   as :func:`choose`
    """
    if text is None:
        return measurement
    kept = choose(measurement, text)
    account.say("kept", f"{kept.sum()} of {len(kept)} shots", why=text, kept_shots=np.flatnonzero(kept).tolist())
    own = ("measured", "static_region", "static_support", "object_support")
    arrays = {name: getattr(measurement, name) for name in own}
    arrays = {name: a[kept] if a is not None and a.ndim == 3 else a for name, a in arrays.items()}
    some = replace(measurement, intensity=measurement.intensity[kept], **arrays)
    account.facts["photons_kept"] = float(np.where(some.measured, some.intensity, 0).sum(dtype=float))
    return some
