"""How near displacement and strain of simulated crystals come to the truth, over beamlines, displacements and photons.

    cdipipe bench bragg

Crystals of 30 voxels on 64^3, at 3 beamlines, each phased by 2 restarts of 660 iterations, and brought back
to nanometres.
"""

from __future__ import annotations

import itertools
import statistics

from common import parser_of, write

SEQUENCE = "3*(20*ER+180*HIO)+60*ER"
BEAMLINES = ("aps_34idc", "esrf_id01", "petra_p10")
DISPLACEMENTS = ("smooth", "bend", "inclusion", "none", "screw", "edge")
PHOTONS = (1e6, 1e7, 1e8)
SEEDS = {1e6: (1,), 1e7: (1,), 1e8: (1, 2)}
"""Crystals of each kind over photons."""
TOLD = ("shape_iou", "displacement_rmse_planes", "strain_rmse", "strain_correlation", "is_twin")


def crystal(beamline: str, displacement: str, photons: float, seed: int) -> dict[str, float]:
    """One crystal from simulated counts to its errors; ``burgers_planes`` of a dislocation with the twin undone."""
    import cdipipe as cdi
    from cdipipe.bragg.judge import judge
    from cdipipe.bragg.strain import analyse

    wanted = {"beamline": beamline, "displacement": displacement, "photons": photons}
    measurement, truth = cdi.simulate("bragg", seed=seed, with_truth=True, **wanted)
    result = analyse(cdi.reconstruct(measurement, {"sequence": SEQUENCE}, restarts=2))
    found = judge(result.fields, truth)
    row = {name: round(found[name], 7) for name in TOLD if name in found}
    if "burgers_planes" in result.numbers:
        row["burgers_planes"] = result.numbers["burgers_planes"] * (-1 if found["is_twin"] else 1)
    return row


def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    rows = {}
    for beamline, displacement, photons in itertools.product(BEAMLINES, DISPLACEMENTS, PHOTONS):
        for seed in SEEDS[photons]:
            rows[f"{beamline} {displacement} {seed} {photons:.0e}"] = crystal(beamline, displacement, photons, seed)
    median = {
        f"{photons:.0e}": {
            name: statistics.median(row[name] for key, row in rows.items() if key.endswith(f"{photons:.0e}"))
            for name in ("shape_iou", "displacement_rmse_planes", "strain_rmse")
        }
        for photons in PHOTONS
    }
    print(write("bragg", {"crystals": rows, "median_over_photons": median}, arguments.output))


if __name__ == "__main__":
    main()
