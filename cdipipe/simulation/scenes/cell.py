"""A biological cell at low dose beside a gold lacey film: LoDIP's figure 5.

The cell is real and non-negative by default, its thickness over the largest one. With ``phase_range_rad`` its phase is
proportional to the thickness and negative, as for matter with delta > 0 and a wave exp(+ikz).
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from cdipipe.errors import InputError
from cdipipe.simulation.low_dose.pair import LIGHT, Pair, expose_pair, gives
from cdipipe.simulation.low_dose.parameters import LowDoseParameters
from cdipipe.simulation.registry import Sample, Scene


class CellParameters(LowDoseParameters):
    window: Literal["square", "disc"] = Field("disc", description="outline of sample and static structure")
    phantom: str | None = Field(
        None, description="npz file with a thickness map 'cell' and perhaps a film 'lacey'; not given: made by code"
    )

    frame_turn_rad: float = Field(
        0.035, ge=0, le=3.2, description="of a movie: how far the cell turns in its plane from frame to frame"
    )

    def input_files(self) -> list[Path]:
        return [] if self.phantom is None else [Path(self.phantom).expanduser()]


def build(parameters: CellParameters, rng: np.random.Generator) -> Sample:
    """One cell and one film; of a phantom's maps, a random part of each."""
    from cdipipe.simulation.sources.biological_cell import cell_thickness
    from cdipipe.simulation.sources.lacey import lacey_film

    maps = {} if parameters.phantom is None else read_phantom(parameters.phantom)
    if maps:
        thickness = _part(maps["cell"], parameters.sample_px, 1.0, rng)
    else:
        thickness = cell_thickness(parameters.sample_px, rng)
    if parameters.frames > 1:
        thickness = _turning(thickness, parameters)
    static = _part(maps["lacey"], parameters.static_px, 0.35, rng) if "lacey" in maps else None
    static = lacey_film(parameters.static_px, rng) if static is None else static
    sample = thickness * np.exp(-1j * parameters.phase_range_rad * thickness)
    return expose_pair(parameters, Pair(sample, static))


def _turning(thickness: np.ndarray, parameters: CellParameters) -> np.ndarray:
    """(frames, side, side): the cell turned a little further in every frame."""
    from scipy.ndimage import rotate

    angles = np.degrees(parameters.frame_turn_rad) * np.arange(parameters.frames)
    turned = [rotate(thickness, angle, reshape=False, order=1, mode="constant") for angle in angles]
    return np.clip(np.stack(turned), 0, 1)


def read_phantom(path: str) -> dict[str, np.ndarray]:
    """Maps ``cell`` and, if there is one, ``lacey``, each float64 with smallest value 0 and largest 1.

    Raises
    ------
    InputError   not an npz file, no map ``cell``, or values that cannot be a thickness
    """
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"{path}: no such file; an npz file with a thickness map 'cell' is needed")
    try:
        with np.load(file, allow_pickle=False) as loaded:
            maps = {name: np.asarray(loaded[name]) for name in ("cell", "lacey") if name in loaded}
    except (OSError, ValueError, EOFError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read as npz ({error})") from error
    if "cell" not in maps:
        raise InputError(f"{path}: holds no array 'cell'")
    return {name: _checked(f"{path}: {name}", values) for name, values in maps.items()}


def _checked(where: str, values: np.ndarray) -> np.ndarray:
    fits = values.ndim == 2 and min(values.shape) >= 8 and values.dtype.kind in "buif"
    if not fits or not np.isfinite(values).all() or not np.ptp(values.astype(np.float64)) > 0:
        raise InputError(f"{where}: a finite, real map (H, W) that is not constant is needed; got shape {values.shape}")
    values = values.astype(np.float64)
    return (values - values.min()) / np.ptp(values)


def _part(image: np.ndarray, side: int, least: float, rng: np.random.Generator) -> np.ndarray:
    """Random square of a map, ``least`` to 1 of its shorter side, turned by quarter turns: (side, side)."""
    from PIL import Image

    shortest = min(image.shape)
    edge = int(rng.integers(max(int(least * shortest), 1), shortest + 1))
    row, column = (int(rng.integers(n - edge + 1)) for n in image.shape)
    crop = np.rot90(image[row : row + edge, column : column + edge], rng.integers(4)).astype(np.float32)
    small = Image.fromarray(np.ascontiguousarray(crop)).resize((side, side), Image.Resampling.BOX)
    return np.clip(np.asarray(small, np.float64), 0, 1)


SCENE = Scene(
    name="cell",
    summary="A biological cell at low dose beside a gold lacey film",
    reference="Manekar et al., LoDIP, arXiv:2402.17745 (section 4.1, figure 5); "
    "Lo et al., Nat. Commun. 9, 1826 (2018), doi:10.1038/s41467-018-04259-9",
    parameters=CellParameters,
    build=build,
    gives=gives,
    open_extra=LIGHT,
)
