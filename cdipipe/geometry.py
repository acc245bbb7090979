"""Where beam, sample and detector were: plain frozen records, numpy only.

**Lab frame**, that of NeXus and McStas: z along the beam, y up, x = y x z, which points to the left of someone who
looks along the beam. A rotation by a positive angle is right-handed about its axis. Circles are listed from the
outermost to the innermost: the outer ones carry the inner ones, whose axes are those at zero angles.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from cdipipe.errors import InputError

PLANCK_TIMES_C_EV_M = 1.2398419843320026e-06
"""h*c in eV m: wavelength_m = PLANCK_TIMES_C_EV_M / energy_ev."""

POSITIVE = ("energy_ev", "distance_m", "pixel_y_m", "pixel_x_m", "exposure_s")
SAME_STEP = 0.02
"""Relative difference up to which a rocking step and scanned positions say the same."""

Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Circle:
    """One rotation of a goniometer or of a detector arm.

    Parameters
    ----------
    name : as the beamline calls it
    axis : unit vector in the lab frame with all circles at zero; positive angles are right-handed about it
    angle_deg : where it stood; of a scanned circle, where the scan crossed its middle
    """

    name: str
    axis: Vector
    angle_deg: float = 0.0

    def __post_init__(self):
        axis = tuple(float(part) for part in self.axis)
        length = float(np.linalg.norm(axis)) if len(axis) == 3 else 0.0
        if not (np.isfinite(axis).all() and 0.999 < length < 1.001):
            raise InputError(f"axis of '{self.name}' is {axis}; expected three numbers, a vector of length 1")
        if not np.isfinite(self.angle_deg):
            raise InputError(f"angle of '{self.name}' is {self.angle_deg}; expected a number in degrees")
        object.__setattr__(self, "axis", axis)
        object.__setattr__(self, "angle_deg", float(self.angle_deg))


@dataclass(frozen=True)
class Scan:
    """What moved from pattern to pattern, along the first axis of the stack.

    Parameters
    ----------
    motor : name of a circle of the sample, ``energy``, or any other motor
    positions : one for each pattern
    unit : of the positions: ``deg``, ``eV``, ``m``, or as the beamline has it
    """

    motor: str
    positions: tuple[float, ...]
    unit: str = "deg"

    def __post_init__(self):
        positions = tuple(float(place) for place in self.positions)
        if not positions or not np.isfinite(positions).all():
            raise InputError(f"positions of '{self.motor}' must be finite numbers, one for each pattern")
        object.__setattr__(self, "positions", positions)

    @property
    def step(self) -> float:
        """Slope of a straight line through all positions; 0 for a single one."""
        count = len(self.positions)
        offsets = np.arange(count) - (count - 1) / 2
        return float(offsets @ np.asarray(self.positions) / (offsets @ offsets)) if count > 1 else 0.0

    @property
    def middle(self) -> float:
        """Position at index ``N // 2``, where the zero frequency of a centred volume is."""
        return self.positions[len(self.positions) // 2]

    def cut(self, start: int, size: int) -> Scan:
        """``size`` positions from index ``start``; those outside the scan go on with its step.

        Parameters
        ----------
        start : index of the first position kept; may be negative
        size : number of positions
        """
        count, places = len(self.positions), range(start, start + size)
        inside = [min(max(place, 0), count - 1) for place in places]
        moved = tuple(
            self.positions[near] + (place - near) * self.step for place, near in zip(places, inside, strict=True)
        )
        return replace(self, positions=moved)

    def binned(self, factor: int) -> Scan:
        """Mean position of every ``factor`` patterns; an incomplete last block is dropped.

        Parameters
        ----------
        factor : patterns that are summed to one
        """
        whole = len(self.positions) // factor * factor
        return replace(self, positions=tuple(np.reshape(self.positions[:whole], (-1, factor)).mean(1)))


@dataclass(frozen=True)
class Geometry:
    """Where the detector stood, how the sample was turned and what light fell on it; ``None`` means unknown.

    Parameters
    ----------
    energy_ev, distance_m : photon energy; sample to detector
    pixel_y_m, pixel_x_m : distance from row to row and from column to column, after binning; a missing ``pixel_x_m``
        is that of a square pixel
    rocking_step_rad : angle from slice to slice of a rocking curve, with its sign; follows from ``scan``
    beam_centre_px : row and column of the direct beam on the full detector with its circles at zero; pixel centres
        are at whole numbers. Unknown: the angles of the detector's circles belong to the middle pixel ``N // 2``
    offset_px : row and column, on the full detector, of the first kept pixel (the first of its block where binned)
    binning : detector pixels in one kept pixel, along rows and columns
    sample_circles, detector_circles : outermost first
    row_direction, column_direction : unit vectors in the lab frame along which the row and the column index grow,
        with the detector's circles at zero
    scan : what moved along the first axis of the stack
    beamline, detector : their names
    exposure_s : of one frame
    """

    energy_ev: float | None = None
    distance_m: float | None = None
    pixel_y_m: float | None = None
    pixel_x_m: float | None = None
    rocking_step_rad: float | None = None
    beam_centre_px: tuple[float, float] | None = None
    offset_px: tuple[float, float] = (0.0, 0.0)
    binning: tuple[int, int] = (1, 1)
    sample_circles: tuple[Circle, ...] = ()
    detector_circles: tuple[Circle, ...] = ()
    row_direction: Vector | None = None
    column_direction: Vector | None = None
    scan: Scan | None = None
    beamline: str | None = None
    detector: str | None = None
    exposure_s: float | None = None

    def __post_init__(self):
        for name in POSITIVE:
            value = getattr(self, name)
            if value is not None and not (np.isfinite(value) and value > 0):
                raise InputError(f"geometry: {name} is {value}; expected a positive number")
        if self.pixel_x_m is None:
            object.__setattr__(self, "pixel_x_m", self.pixel_y_m)
        self._check_places()
        self._check_directions()
        self._check_step()
        self._place_scanned_circle()

    def _check_places(self):
        for name in ("beam_centre_px", "offset_px", "binning"):
            pair = getattr(self, name)
            if pair is not None and (len(pair) != 2 or not np.isfinite(pair).all()):
                raise InputError(f"geometry: {name} is {pair}; expected two numbers, row and column")
        if min(self.binning) < 1:
            raise InputError(f"geometry: binning is {self.binning}; expected two whole numbers of at least 1")

    def _check_directions(self):
        known = [direction for direction in (self.row_direction, self.column_direction) if direction is not None]
        if any(len(direction) != 3 or abs(np.linalg.norm(direction) - 1) > 1e-3 for direction in known):
            raise InputError(f"geometry: directions of the detector {known} must be two unit vectors")
        if len(known) == 2 and abs(np.dot(*known)) > 1e-3:
            raise InputError(f"geometry: rows and columns of the detector grow along {known}, which are not orthogonal")

    def _check_step(self):
        step = self.rocking_step_rad
        if step is not None and not (np.isfinite(step) and step != 0):
            raise InputError(f"geometry: rocking_step_rad is {step}; expected a number that is not 0")
        if self.scan is None or self.scan.unit != "deg" or self.scan.step == 0:
            return
        scanned = float(np.radians(self.scan.step))
        if step is None:
            object.__setattr__(self, "rocking_step_rad", scanned)
        elif abs(step - scanned) > SAME_STEP * abs(scanned):
            raise InputError(
                f"geometry: the rocking step is {step:.6g} rad, but '{self.scan.motor}' moved by {scanned:.6g} rad; "
                "give one of them"
            )

    def _place_scanned_circle(self):
        if self.scan is None or self.scan.unit != "deg":
            return
        circles = tuple(
            replace(circle, angle_deg=self.scan.middle) if circle.name == self.scan.motor else circle
            for circle in self.sample_circles
        )
        object.__setattr__(self, "sample_circles", circles)

    @property
    def wavelength_m(self) -> float | None:
        """Wavelength h c / E in metres; None where the energy is unknown."""
        return None if self.energy_ev is None else PLANCK_TIMES_C_EV_M / self.energy_ev

    @property
    def pixel_m(self) -> float | None:
        """Side of a square detector pixel; None where it is unknown or not square."""
        return self.pixel_y_m if self.pixel_y_m == self.pixel_x_m else None

    def object_pixel_m(self, size_px: int) -> float | None:
        """Object pixel of a far-field pattern of ``size_px`` square pixels: wavelength * distance / (N * pixel).

        Parameters
        ----------
        size_px : side N of the pattern in pixels

        Returns
        -------
        metres; None where the energy, the distance or square pixels are unknown
        """
        if None in (self.energy_ev, self.distance_m, self.pixel_m):
            return None
        return self.wavelength_m * self.distance_m / (size_px * self.pixel_m)

    def object_pixels_m(self, shape: tuple[int, ...]) -> tuple[float, ...] | None:
        """Object pixel along each axis of a far-field pattern or volume of ``shape``; None where it is unknown.

        The axes of a rocking curve's object are skewed (see :mod:`cdipipe.optics.diffraction`): unknown here. A volume
        without rocking step counts as a cube of reciprocal space, sampled along its first axis as along the second.

        Parameters
        ----------
        shape : (H, W) or (D, H, W) of the pattern

        Returns
        -------
        metres along each axis
        """
        if None in (self.energy_ev, self.distance_m, self.pixel_y_m, self.pixel_x_m):
            return None
        if len(shape) == 3 and (self.rocking_step_rad is not None or self.scan is not None):
            return None
        pixels = (self.pixel_y_m, self.pixel_y_m, self.pixel_x_m)[-len(shape) :]
        return tuple(
            self.wavelength_m * self.distance_m / (size * pixel) for size, pixel in zip(shape, pixels, strict=True)
        )

    def centre_of_window(self, shape: tuple[int, int]) -> tuple[float, float]:
        """Row and column of the kept window (H, W) where the direct beam falls with the detector's circles at zero.

        Parameters
        ----------
        shape : (H, W) of the window, in binned pixels

        Returns
        -------
        row, column in binned pixels, whole or not; ``N // 2`` where the beam's place is unknown
        """
        if self.beam_centre_px is None:
            return shape[0] // 2, shape[1] // 2
        places = zip(self.beam_centre_px, self.offset_px, self.binning, strict=True)
        return tuple((centre - first + 0.5) / factor - 0.5 for centre, first, factor in places)

    def cropped(self, start: tuple[int, ...], size: tuple[int, ...]) -> Geometry:
        """Geometry of the window of ``size`` that begins at index ``start``, which may lie outside: (H, W) or 3D.

        Parameters
        ----------
        start : index of the first pixel along each axis; may be negative
        size : pixels along each axis
        """
        offset = tuple(
            first + index * factor
            for first, index, factor in zip(self.offset_px, start[-2:], self.binning, strict=True)
        )
        moved = replace(self, offset_px=offset)
        return moved if self.scan is None or len(start) == 2 else moved._scanned(self.scan.cut(start[0], size[0]))

    def binned(self, factors: tuple[int, ...]) -> Geometry:
        """Geometry after summing blocks of ``factors`` pixels: (rows, columns), or (slices, rows, columns).

        Parameters
        ----------
        factors : pixels that are summed to one along each axis
        """
        slices = factors[0] if len(factors) == 3 else 1
        y, x = factors[-2:]
        step = self.rocking_step_rad
        binned = replace(
            self,
            pixel_y_m=None if self.pixel_y_m is None else self.pixel_y_m * y,
            pixel_x_m=None if self.pixel_x_m is None else self.pixel_x_m * x,
            rocking_step_rad=None if step is None else step * slices,
            binning=(self.binning[0] * y, self.binning[1] * x),
            scan=None,
        )
        return binned if self.scan is None else binned._scanned(self.scan.binned(slices))

    def _scanned(self, scan: Scan) -> Geometry:
        """With another scan, and the step that follows from it."""
        return replace(self, scan=scan, rocking_step_rad=None if scan.unit == "deg" else self.rocking_step_rad)

    def of_frames(self, numbers: np.ndarray) -> Geometry:
        """Geometry of the patterns ``numbers`` (N,) of the stack, evenly spaced or not.

        Parameters
        ----------
        numbers : indices of the patterns that are kept, whole numbers
        """
        if self.scan is None:
            spacing = np.diff(numbers)
            if self.rocking_step_rad is None or spacing.size == 0 or (spacing != spacing[0]).any():
                return self
            return replace(self, rocking_step_rad=self.rocking_step_rad * float(spacing[0]))
        return self._scanned(replace(self.scan, positions=tuple(self.scan.positions[number] for number in numbers)))

    def swapped(self) -> Geometry:
        """Geometry of the same frames with rows and columns exchanged."""
        return replace(
            self,
            pixel_y_m=self.pixel_x_m,
            pixel_x_m=self.pixel_y_m,
            beam_centre_px=None if self.beam_centre_px is None else self.beam_centre_px[::-1],
            offset_px=self.offset_px[::-1],
            binning=self.binning[::-1],
            row_direction=self.column_direction,
            column_direction=self.row_direction,
        )
