"""What a detector does to a pattern, as parameters of every scene: coherence, noise, saturation, mask, propagation.

Everything is off by default. No torch here: a configuration is validated before anything heavy starts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from cdipipe.bounds import Bounded

_GROUP = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class MaskParameters(Bounded):
    """Pixels that are not measured; drawn anew for each pattern where something is random."""

    model_config = _GROUP

    beamstop_px: float = Field(0.0, ge=0, description="radius of a disc at the centre, in pixels")
    beamstop_offset_px: tuple[float, float] = Field((0.0, 0.0), description="row and column of it from the centre")
    rectangle_px: tuple[int, int] | None = Field(None, description="rows, columns of a rectangle at the centre")
    central_square_px: int = Field(0, ge=0, description="side of a square at the centre (DPR's constant mask: 16)")
    random_rectangle: bool = Field(False, description="one rectangle near the centre, sides and place random (DPR)")
    rectangle_half_sides_px: tuple[int, int] = Field((8, 31), description="random_rectangle: range of half sides")
    rectangle_offset_px: tuple[int, int] = Field((-8, 7), description="random_rectangle: range of its offset per axis")
    module_px: tuple[int, int] | None = Field(None, description="rows, columns of a detector module; gaps between")
    gap_px: tuple[int, int] = Field((0, 0), description="rows, columns missing between modules")
    dead_share: float = Field(0.0, ge=0, lt=1, description="share of dead pixels, random")
    irregular: str | None = Field(
        None, description="random masks: 'strokes' (our own), or a file or folder of masks (npz, npy, png)"
    )
    irregular_holes_are: Literal["bright", "dark"] = Field(
        "bright", description="what is missing in mask files (NVIDIA's test set: bright, training set: dark)"
    )
    irregular_grow_px: tuple[int, int] = Field(
        (0, 0),
        description="range of widths by which holes from files grow, on a 512 x 512 grid (DPR's training: 9, 49)",
    )
    irregular_rotation_deg: float = Field(90.0, ge=0, le=180, description="masks from files turn by +- this")
    irregular_limit: float = Field(
        0.5, gt=0, le=1, description="irregular masks that hide a larger share than this are dropped"
    )

    @model_validator(mode="after")
    def _possible(self):
        for name in ("rectangle_px", "module_px"):
            sides = getattr(self, name)
            if sides is not None and min(sides) < 1:
                raise ValueError(f"{name} {sides}: sides must be at least 1 px")
        if min(self.gap_px) < 0:
            raise ValueError(f"gap_px {self.gap_px}: must be at least 0")
        if max(self.gap_px) > 0 and self.module_px is None:
            raise ValueError("gap_px needs module_px, the size of the modules between the gaps")
        for name, least in (("rectangle_half_sides_px", 1), ("irregular_grow_px", 0), ("rectangle_offset_px", None)):
            low, high = getattr(self, name)
            if low > high or (least is not None and low < least):
                floor = "" if least is None else f", the lower at least {least}"
                raise ValueError(f"{name} {(low, high)}: expected a range low, high{floor}")
        return self

    def files(self) -> list[Path]:
        """Files of irregular masks: the one given, or all in the folder given."""
        if self.irregular in (None, "strokes"):
            return []
        place = Path(self.irregular).expanduser()
        return sorted(file for file in place.iterdir() if file.is_file()) if place.is_dir() else [place]


class FresnelParameters(Bounded):
    """Near field: the exit wave times exp(i pi |x|^2 / (lambda z)), Fourier transformed."""

    model_config = _GROUP

    energy_ev: float = Field(gt=0, description="photon energy")
    distance_m: float = Field(gt=0, description="sample to detector (effective)")
    object_pixel_m: float = Field(gt=0, description="pixel of the object; the detector's is lambda z / (N dx)")


class DetectorParameters(Bounded):
    """From the ideal intensity to what is counted: coherence, background, Poisson, read noise, saturation, mask."""

    model_config = _GROUP

    coherence_px: float | None = Field(
        None,
        gt=0,
        description="Gaussian Schell width xi of exp(-r^2 / (2 xi^2)) on the object's pixels; DPR's sigma_mu = 200 is "
        "xi = sqrt(2) 200 = 282.8; none: coherent",
    )
    coherence_spread: float = Field(0.0, ge=0, lt=1, description="coherence_px of a pattern: uniform within +- this")
    coherence: Literal["gaussian_schell", "dpr_published"] = Field(
        "gaussian_schell", description="dpr_published: as DPR's code has it, kernel not on lag zero (wrong)"
    )
    background_photons: float = Field(0.0, ge=0, le=1e12, description="mean background per pixel, Poisson")
    read_noise_photons: float = Field(
        0.0, ge=0, le=1e9, description="standard deviation of Gaussian noise; DPR: FWHM 1, so 1 / 2.35482 = 0.42466"
    )
    saturation_photons: float | None = Field(None, gt=0, description="counts stop here; such pixels are unmeasured")
    mask: MaskParameters = Field(MaskParameters(), description="pixels not measured; keys such as detector.mask.gap_px")
    propagation: Literal["far_field", "fresnel"] = Field(
        "far_field", description="fresnel: with detector.fresnel, or with the geometry of a scene that has one"
    )
    fresnel: FresnelParameters | None = Field(None, description="energy_ev, distance_m, object_pixel_m")

    @model_validator(mode="after")
    def _possible(self):
        if self.fresnel is not None and self.propagation != "fresnel":
            raise ValueError("the group fresnel (energy_ev, ...) needs propagation 'fresnel'")
        if self.coherence_spread and self.coherence_px is None:
            raise ValueError("coherence_spread needs coherence_px")
        return self
