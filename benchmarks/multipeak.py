"""The strain tensor from several reflections together, against that from separately phased ones.

    cdipipe bench multipeak

Simulated crystals of 14 voxels on 32^3, four reflections at 34-ID-C, the last one withheld from the fit; each phased by
itself (best of 3 starts of 660 iterations), combined by least squares ("separate"), and fitted together ("joint").
"""

from __future__ import annotations

import statistics

from common import parser_of, write

HKL = ((1, 1, 1), (-1, 1, 1), (1, -1, 1), (0, 0, 2))
SEQUENCE = "3*(20*ER+180*HIO)+60*ER"
SIZE = {"size": 32, "positions": 32, "voxels": 14, "displacement": "vector"}
CASES = {
    "equal photons": ((1e7, 1e7, 1e7), 4.0),
    "unequal photons": ((1e8, 1e6, 1e5), 4.0),
    "third fails alone": ((1e7, 1e7, 3e3), 4.0),
    "strong strain": ((1e7, 1e7, 1e7), 9.0),
}
"""Photons of the three reflections that are fitted, and the phase range of the displacement in rad."""
SEEDS = range(1, 6)


def one(case: str, seed: int) -> dict:
    """Errors of both ways on one crystal, and R-factors of the withheld reflection."""
    import cdipipe as cdi
    from cdipipe.bragg.judge_crystal import judge_crystal
    from cdipipe.bragg.multipeak import Settings, fit_crystal

    photons, span = CASES[case]
    curves, objects = [], []
    for hkl, count in zip(HKL, (*photons, 1e7), strict=True):
        data = cdi.simulate("bragg", seed=seed, with_truth=True, hkl=hkl, photons=count, phase_range_rad=span, **SIZE)
        curves.append(data)
        objects.append(cdi.reconstruct(data[0], {"sequence": SEQUENCE}, restarts=3, seed=seed).object)
    measurements, row = [data[0] for data in curves], {}
    for name, steps in (("separate", 0), ("joint", Settings().iterations)):
        crystal = fit_crystal(measurements, objects, Settings(iterations=steps, withhold=3))
        found = judge_crystal(crystal, curves[0][1])
        row[name] = {**found, "withheld_r": crystal.r_factors[3], "fitted_r": list(crystal.r_factors[:3])}
        row[name]["started"] = list(crystal.started)
    return row


def main() -> None:
    arguments = parser_of(__doc__).parse_args()
    rows = {case: {str(seed): one(case, seed) for seed in SEEDS} for case in CASES}
    told = ("strain_rmse", "displacement_rmse_nm", "shape_iou", "withheld_r", "strain_rms")
    median = {
        case: {
            way: {name: statistics.median(row[way][name] for row in found.values()) for name in told}
            for way in ("separate", "joint")
        }
        for case, found in rows.items()
    }
    print(write("multipeak", {"median": median, "crystals": rows}, arguments.output))


if __name__ == "__main__":
    main()
