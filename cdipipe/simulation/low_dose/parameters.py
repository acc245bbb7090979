"""Parameters of a sample beside a static structure, and where both are."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from cdipipe.measurement import Geometry
from cdipipe.simulation.registry import SceneParameters, far_field_geometry

SAMPLE_SHARE = 70 / 256
GAP_SHARE = 12 / 70


class LowDoseParameters(SceneParameters):
    size: int = Field(256, ge=32, le=16384, description="array pixels per axis")
    photons: float | None = Field(
        None,
        ge=0,
        le=1e15,
        description="mean total detected of both together: the static one gets what the sample's light leaves, or both "
        "are scaled where that is not given; not given: the doses decide; 0: they do, noise-free",
    )
    sample_photons_per_pixel: float | None = Field(
        None,
        gt=0,
        le=1e12,
        description="photons of the sample alone per detector pixel, sum |X|^2 / size^2; not given: 1",
    )
    dose_sample_per_um2: float | None = Field(
        None,
        gt=0,
        le=1e15,
        description="instead of sample_photons_per_pixel: photons per um^2 on the sample; LoDIP: 1e3 to 1e7",
    )
    dose_static_per_um2: float = Field(1e10, gt=0, le=1e15, description="photons per um^2 on the static structure")
    amplitude_ratio: float | None = Field(
        None, gt=0, description="k, instead of dose_static_per_um2: amplitude of the sample's light over the static's"
    )
    object_size: int | None = Field(
        None, ge=8, description="side (diameter) of the sample in pixels; not given: 70 of 256"
    )
    static_size: int | None = Field(None, ge=4, description="side (diameter) of the static structure; not given: half")
    window: Literal["square", "disc"] = Field("square", description="outline of sample and static structure")
    static_offset_px: tuple[int, int] | None = Field(
        None,
        description="rows, columns from the sample's centre (the array's) to the static structure's; not given: to the "
        "right, 12 pixels between them at size 256",
    )
    support_area: float = Field(
        1.0,
        ge=0,
        le=16,
        description="area of the known support, as a multiple of the sample's own: above 1 it is too large, but "
        "without the pixels of the static structure; 0: none is known",
    )
    phase_range_rad: float = Field(
        0.0, description="phase of the sample, peak to peak, 0 to 2 pi; 0: real, non-negative"
    )
    probe: Literal["plane", "gaussian"] = Field("plane", description="illumination of sample and static structure")
    probe_sigma_px: float | None = Field(
        None, gt=0, description="gaussian: standard deviation of its amplitude; not given: object_size"
    )
    energy_ev: float = Field(530.0, gt=0, description="photon energy")
    object_pixel_m: float = Field(42.9e-9, gt=0, description="pixel of the object")
    detector_pixel_m: float = Field(10e-6, gt=0, description="pixel of the detector; its distance follows")
    mass_attenuation_cm2_g: float = Field(1e4, gt=0, description="mu / rho of the sample, for its dose in gray")
    count: int = Field(1, ge=1, description="independent samples; more than one makes a stack of shots (LoDIP: 50)")
    frames: int = Field(
        1, ge=1, le=10000, description="more than one: a movie of a sample that changes beside one static structure"
    )
    static_known: bool = Field(
        True, description="False: the measurement tells where the static structure is, but not what it is"
    )

    @model_validator(mode="after")
    def _possible(self):
        if self.sample_photons_per_pixel is not None and self.dose_sample_per_um2 is not None:
            raise ValueError(
                "sample_photons_per_pixel and dose_sample_per_um2 both fix the light on the sample: give one"
            )
        if self.photons and self.amplitude_ratio is not None and self.sample_is_fixed:
            raise ValueError("photons, amplitude_ratio and the light on the sample cannot all be fixed: give two")
        if self.frames > 1 and self.count > 1:
            raise ValueError(f"count {self.count} and frames {self.frames}: a movie is of one sample")
        if not 0 <= self.phase_range_rad <= 2 * np.pi + 1e-3:
            raise ValueError(f"phase_range_rad {self.phase_range_rad} is outside 0 to 2 pi")
        if self.probe_sigma_px is not None and self.probe == "plane":
            raise ValueError("probe_sigma_px needs probe 'gaussian'")
        if self.sample_px > self.size:
            raise ValueError(f"object_size {self.sample_px} is larger than the array (size {self.size})")
        if 0 < self.support_area < 1:
            raise ValueError(f"support_area {self.support_area} would cut the sample: 0 (none known), or 1 and more")
        self._check_static()
        return self

    def _check_static(self) -> None:
        rows, columns = self.static_offset
        reach = self.static_px - self.static_px // 2
        if max(abs(rows), abs(columns)) + reach > self.size // 2:
            raise ValueError(
                f"the static structure ({self.static_px} px at {rows}, {columns} from the centre) reaches beyond the "
                f"array (size {self.size}); change static_offset_px, object_size or size"
            )
        sample, static = self.windows()
        if (sample & static).any():
            raise ValueError(
                f"the static structure ({self.static_px} px at {rows}, {columns}) overlaps the sample "
                f"({self.sample_px} px in the centre); change static_offset_px"
            )

    @property
    def sample_is_fixed(self) -> bool:
        """Whether the light on the sample was given."""
        return self.sample_photons_per_pixel is not None or self.dose_sample_per_um2 is not None

    @property
    def sample_px(self) -> int:
        """Side of the sample."""
        return self.object_size or max(round(self.size * SAMPLE_SHARE), 8)

    @property
    def static_px(self) -> int:
        """Side of the static structure."""
        return self.static_size or self.sample_px // 2

    @property
    def static_offset(self) -> tuple[int, int]:
        """Rows and columns from the centre of the sample to that of the static structure."""
        if self.static_offset_px is not None:
            return self.static_offset_px
        return 0, (self.sample_px + 1) // 2 + round(GAP_SHARE * self.sample_px) + self.static_px // 2

    def windows(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the sample and the static structure may be: two (size, size) bool arrays."""
        return (
            _window(self.size, self.sample_px, (0, 0), self.window),
            _window(self.size, self.static_px, self.static_offset, self.window),
        )

    def known_support(self) -> np.ndarray | None:
        """The support that is told to whoever reconstructs, (size, size) bool."""
        if not self.support_area:
            return None
        side = min(round(self.sample_px * np.sqrt(self.support_area)), self.size)
        return _window(self.size, side, (0, 0), self.window) & ~self.windows()[1]

    def geometry(self) -> Geometry:
        """Far-field geometry in which the object has its pixel."""
        return far_field_geometry(self.energy_ev, self.object_pixel_m, self.detector_pixel_m, self.size)


def _window(size: int, side: int, offset: tuple[int, int], outline: str) -> np.ndarray:
    window = np.zeros((size, size), bool)
    block = np.ones((side, side), bool)
    if outline == "disc":
        axis = np.arange(side) - (side - 1) / 2
        block = axis[:, None] ** 2 + axis**2 <= (side / 2) ** 2
    starts = [size // 2 + o - side // 2 for o in offset]
    clipped = tuple(slice(max(s, 0), max(s + side, 0)) for s in starts)
    shape = window[clipped].shape
    window[clipped] = block[: shape[0], : shape[1]]
    return window
