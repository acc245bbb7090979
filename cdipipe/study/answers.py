"""What a study found, before any table: of every measurement the best result, how far to believe it, and what next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VERDICTS = ("plausible", "doubtful", "bad")
"""From the best to the worst; a result without one stands last."""
SCORES = ("poisson_nll_free", "r_factor_free", "poisson_nll", "r_factor")
"""By which results of the same verdict are ordered: the first that all of them have; the lowest is the best."""
NEXT = {
    "plausible": "Look at it, then at where the runs differ; for other programs: cdipipe export",
    "doubtful": "Before it is shown to others",
    "bad": "Not to be used",
}


def best_of(results: list[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The result of a measurement to show first.

    Parameters
    ----------
    results : each with ``metrics``, as ``evaluate`` writes them

    Returns
    -------
    mapping
        One of them: the best verdict, and among equals the lowest likelihood or R-factor, of withheld pixels where all
        have them. No truth has a say.
    """
    common = next((name for name in SCORES if all(_number(r["metrics"].get(name)) for r in results)), None)

    def order(result: Mapping[str, Any]) -> tuple[int, float]:
        verdict = result["metrics"].get("verdict")
        rank = VERDICTS.index(verdict) if verdict in VERDICTS else len(VERDICTS)
        return rank, result["metrics"][common] if common else 0.0

    return min(results, key=order)


def numbers_of(metrics: Mapping[str, Any]) -> list[str]:
    """What is known of a result, in a few words each."""
    told = []
    if _number(metrics.get("r_factor")):
        noise = metrics.get("r_factor_noise")
        told.append(
            f"R-factor {metrics['r_factor']:.2g}" + (f", counting noise alone {noise:.2g}" if _number(noise) else "")
        )
    if _number(metrics.get("r_factor_free")):
        told.append(f"of withheld pixels {metrics['r_factor_free']:.2g}")
    if _number(metrics.get("repeatability")):
        told.append(f"starts agree to {metrics['repeatability']:.2g}")
    if _number(metrics.get("prtf_resolution_px")):
        told.append(f"resolution (PRTF) {metrics['prtf_resolution_px']:.2g} px")
    if _number(metrics.get("complex_correlation")):
        told.append(f"correlation with the truth {metrics['complex_correlation']:.3g}")
    return told


def next_of(metrics: Mapping[str, Any]) -> str:
    """What to do with a result: its doubts, which say what to try, or how to go on."""
    verdict = metrics.get("verdict")
    if verdict not in NEXT:
        return ""
    reasons = metrics.get("reasons")
    return f"{NEXT[verdict]}: {reasons}." if reasons and verdict != "plausible" else f"{NEXT[verdict]}."


def telling(columns: list[str], rows: list[Mapping[str, Any]]) -> list[str]:
    """The columns of a table in which rows differ; all of a table of one row."""
    if len(rows) < 2:
        return columns
    return [name for name in columns if len({repr(row.get(name)) for row in rows}) > 1]


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
