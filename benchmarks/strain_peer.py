"""Displacement and strain of the measured gold crystal: ours beside cohere's own post-processing, on the same phases.

    pip install --no-deps cohere_ui     # beside the extras 'bench' and 'paraview'
    cdipipe bench strain_peer

Both see the same object, support, voxel axes and scattering vector. cohere makes the displacement from the wrapped or
unwrapped phase and d / 2 pi, and the strain from VTK's derivative on the skewed grid.
"""

from __future__ import annotations

import numpy as np
from common import ROOT, parser_of, write

RECIPE = {
    "sequence": "3*(20*ER+180*HIO)+20*ER",
    "beta": 0.9,
    "shrink_wrap": {"every": 20, "sigma_start_px": 1.0, "sigma_end_px": 1.0, "threshold": 0.1},
}


def gold(restarts: int):
    """The phased crystal, from the study's own import."""
    import subprocess
    import sys
    import tempfile
    from pathlib import Path

    import cdipipe as cdi
    from cdipipe.study.config import load_config

    study = load_config(ROOT / "config/gold_bcdi.yaml")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "M.cxi"
        command = [
            sys.executable,
            "-m",
            "cdipipe.cli.main",
            "import",
            *study.options("import", "gold"),
            "-o",
            str(path),
        ]
        subprocess.run(command, check=True, cwd=ROOT)
        return cdi.reconstruct(cdi.load(path), RECIPE, restarts=restarts, seed=1)


def of_cohere(object_: np.ndarray, frame) -> dict[str, np.ndarray]:
    """Displacement in nm and strain of an object by cohere, on its own grid."""
    from cohere_ui.api.postprocessor import make_image_viz

    geometry = (None, frame.voxels_nm * np.asarray(object_.shape), frame.q_per_nm / 10)  # nm, and Q in 1 / Angstrom
    settings = {"config_disp": {"unwrap": True, "Bragg_displacement": "Q", "compute_strain": True}}
    arrays = make_image_viz(geometry, object_, None, settings, {}).arrs
    return {"displacement_nm": arrays["Displacement"], "strain": arrays["Qstrain"].reshape(object_.shape)}


def compare(own: np.ndarray, other: np.ndarray, inside: np.ndarray) -> dict[str, float]:
    """Correlation, and the factor and rms rest of the line that lays one over the other."""
    known = inside & np.isfinite(own) & np.isfinite(other)
    one, two = own[known] - own[known].mean(), other[known] - other[known].mean()
    factor = float(one @ two / (two @ two))
    rest = one - factor * two
    return {
        "correlation": float(one @ two / np.sqrt((one @ one) * (two @ two))),
        "factor": factor,
        "rms": float(np.sqrt(np.mean(one**2))),
        "rms_rest": float(np.sqrt(np.mean(rest**2))),
        "voxels": int(known.sum()),
    }


def main() -> None:
    from cdipipe.bragg.strain import Choices, analyse

    arguments = parser_of(__doc__).parse_args()
    fields = analyse(gold(4), Choices(surface=0.4, keep_ramp=False)).fields
    theirs = of_cohere(fields.object * fields.inside, fields.frame)  # the ramp is taken off for both
    bulk = fields.bulk
    result = {
        "voxel_nm": fields.frame.voxel_nm.tolist(),
        "voxel_angles_deg": fields.frame.voxel_angles_deg.tolist(),
        "displacement": compare(fields.displacement_nm, theirs["displacement_nm"], bulk),
        "strain": compare(fields.strain, theirs["strain"], bulk),
        "q_per_angstrom": float(np.linalg.norm(fields.frame.q_per_nm) / 10),
    }
    print(write("strain_peer", result, arguments.output))


if __name__ == "__main__":
    main()
