"""Metrics of a crystal's strain: what ``cdipipe evaluate S.cxi`` writes; a study keeps them in strain.json."""

from __future__ import annotations

from operator import methodcaller

from cdipipe.metrics.record import Metric


def _of_crystal(name: str, label: str, meaning: str, **more) -> Metric:
    """A number that the analysis of strain has by this name."""
    return Metric(name, label, meaning, judge=methodcaller("get", name), of="crystal", shown=False, **more)


METRICS = (
    _of_crystal(
        "shape_iou",
        "shape IoU",
        "voxels inside both crystals over voxels inside either",
        good="high",
        needs=("truth",),
    ),
    _of_crystal(
        "displacement_rmse_planes",
        "displacement error",
        "rms error of the displacement along Q, in spacings of the lattice planes",
        unit="planes",
        good="low",
        needs=("truth",),
    ),
    _of_crystal("strain_rmse", "strain error", "rms error of the strain along Q", good="low", needs=("truth",)),
    _of_crystal("diameter_nm", "diameter", "of a sphere of the crystal's volume", unit="nm"),
    _of_crystal("rms_strain_bulk", "rms strain", "rms of the strain along Q in the bulk"),
    _of_crystal("rms_strain_surface", "rms strain, surface", "rms of the strain along Q in the outermost layer"),
    _of_crystal(
        "strain_std",
        "strain spread",
        "standard deviation of the strain over runs, median over voxels",
        needs=("runs",),
    ),
)
