"""What ``cdipipe import`` may be told, declared once: command line, study entry and provenance are made of this record.

A further option is one more field. Its description becomes the help text, its name (with dashes) the option, and its
type says what is allowed: flags are ``bool``, numbers with commas ``Integers``, files ``FileName``.
"""

from __future__ import annotations

import math
import os
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from cdipipe.errors import InputError
from cdipipe.io.importing.plausible import doubt
from cdipipe.shot_rules import checked_rule


def _integers(value: Any) -> Any:
    """``96,128,128``, 128 or a list as a tuple of whole numbers."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    try:
        numbers = tuple(int(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("expected whole numbers with commas, such as 128,128") from None
    if any(isinstance(part, float) and part != number for part, number in zip(parts, numbers, strict=True)):
        raise ValueError("expected whole numbers with commas, such as 128,128")
    return numbers


def _number(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("expected a number") from None
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError("expected a number")
    return number


def _positive(value: Any) -> float:
    try:
        number = _number(value)
    except ValueError:
        number = 0.0
    if not number > 0:
        raise ValueError("expected a positive number")
    return number


def _not_zero(value: Any) -> float:
    if (number := _number(value)) == 0:
        raise ValueError("expected a number other than 0")
    return number


def _not_negative(value: Any) -> float:
    if (number := _number(value)) < 0:
        raise ValueError("expected a number of at least 0")
    return number


def _sizes(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if min(numbers) < 1:
        raise ValueError("sizes must be at least 1")
    return numbers


def _text(value: Any) -> Any:
    """Numbers that YAML made of a text such as ``48``."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _row_and_column(numbers: tuple[int, ...]) -> tuple[int, ...]:
    if len(numbers) != 2:
        raise ValueError("expected row,column")
    return numbers


def _without_tilde(name: str) -> str:
    return os.path.expanduser(name)


class _File:
    """Marks a field that names a file."""


class _FileOrKey(_File):
    """Marks a field that names a file, or an array in the file of the patterns."""


def _numbers(value: Any) -> tuple[float, ...]:
    """``1.5,2`` or a list as numbers."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    return tuple(_number(part) for part in parts)


def _pixels(value: Any) -> tuple[float, ...]:
    numbers = tuple(_positive(number) for number in _numbers(value))
    if len(numbers) not in (1, 2):
        raise ValueError("expected one number, or two: from row to row,column to column")
    return numbers


def _two(numbers: tuple[float, ...]) -> tuple[float, ...]:
    if len(numbers) != 2:
        raise ValueError("expected row,column")
    return numbers


def _angles(value: Any) -> tuple[str, ...]:
    """``theta=0.2,delta=32``, a mapping or a list of such pairs, as pairs."""
    if isinstance(value, dict):
        value = [f"{name}={angle}" for name, angle in value.items()]
    pairs = value.split(",") if isinstance(value, str) else list(value)
    try:
        named = [(name.strip(), _number(angle)) for name, _, angle in (str(pair).partition("=") for pair in pairs)]
    except ValueError:
        named = []
    if not named or not all(name for name, _ in named):
        raise ValueError("expected circles and degrees such as theta=0.2,delta=32")
    return tuple(f"{name}={angle}" for name, angle in named)


def _believed(name: str) -> AfterValidator:
    """Refuses a number that can hardly be meant."""

    def check(value: Any) -> Any:
        for number in value if isinstance(value, tuple) else () if value is None else (value,):
            if (why := doubt(name, number)) is not None:
                raise ValueError(why)
        return value

    return AfterValidator(check)


Integers = Annotated[tuple[int, ...], BeforeValidator(_integers)]
Sizes = Annotated[Integers, AfterValidator(_sizes)]
Place = Annotated[Integers, AfterValidator(_row_and_column)]
Number = Annotated[float, BeforeValidator(_number)]
Positive = Annotated[float, BeforeValidator(_positive)]
Numbers = Annotated[tuple[float, ...], BeforeValidator(_numbers), AfterValidator(_two)]
Pixels = Annotated[tuple[float, ...], BeforeValidator(_pixels)]
Angles = Annotated[tuple[str, ...], BeforeValidator(_angles)]
NotZero = Annotated[float, BeforeValidator(_not_zero)]
NotNegative = Annotated[float, BeforeValidator(_not_negative)]
Text = Annotated[str, BeforeValidator(_text)]
FileName = Annotated[str, AfterValidator(_without_tilde), _File()]
FILES_OF_NUMBERS = (".npy", ".npz", ".mat", ".h5", ".hdf5", ".nxs", ".cxi")
FileOrKey = Annotated[str, AfterValidator(_without_tilde), _FileOrKey()]


def _background(value: Any) -> Any:
    """``auto``, or a number of at least 0."""
    if value == "auto":
        return value
    try:
        return _not_negative(value)
    except ValueError:
        raise ValueError("expected auto or a number of at least 0") from None


class Options(BaseModel):
    """A group of options; its docstring's first line heads the group in ``cdipipe import --help``."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class ReadOptions(Options):
    """What is read"""

    stack: Annotated[
        Literal["shots", "movie", "volume", "raster"] | None,
        Field(description="what the first of three axes is: shots, movie, volume; raster: shots in rows and columns"),
    ] = None
    dataset: Annotated[
        str | None, Field(description="name of the array (or of the group around it) inside npz, mat and HDF5 files")
    ] = None
    axis: Annotated[Integers | None, Field(description="stack axis in the file (2), or order of its axes (2,0,1)")] = (
        None
    )
    as_given: Annotated[bool, Field(description="files in the order given, whatever numbers they have")] = False
    follow_links: Annotated[bool, Field(description="follow links of HDF5 files out of their folder, too")] = False
    frames: Annotated[Text | None, Field(description="frames to take of a stack: 48, or first:last:step")] = None
    corner: Annotated[bool, Field(description="zero frequency is at the corner of the array")] = False
    amplitude: Annotated[bool, Field(description="values are amplitudes: square them")] = False


class PhotonOptions(Options):
    """What counts as photons"""

    mask: Annotated[
        FileName | None,
        Field(description="FILE[::KEY], nonzero = measured; msk: nonzero = bad; CXI and pixel_mask: their bits"),
    ] = None
    mask_bad: Annotated[bool, Field(description="in the mask nonzero = bad, whatever its format says")] = False
    mask_good: Annotated[bool, Field(description="in the mask nonzero = measured, whatever its format says")] = False
    hot_pixels: Annotated[
        Literal["keep", "warn", "mask"],
        Field(
            description="pixels far above all their neighbours: keep them without a note, warn of them, or mask them"
        ),
    ] = "warn"
    saturation: Annotated[Positive | None, Field(description="mask counts of at least this")] = None
    dark: Annotated[FileName | None, Field(description="dark frame to subtract, FILE[::KEY]")] = None
    whitefield: Annotated[FileName | None, Field(description="white field to divide by, FILE[::KEY]")] = None
    roi: Annotated[Place, Field(description="row,column of the frames on a larger dark or white field")] = (0, 0)
    background: Annotated[
        Annotated[Literal["auto"] | float, BeforeValidator(_background)] | None,
        Field(description="counts per pixel and frame to subtract, or auto: the level of the darkest tenth"),
    ] = None
    monitor: Annotated[
        FileOrKey | None, Field(description="incident flux of every frame, FILE::KEY or a key of the data's own file")
    ] = None
    threshold: Annotated[NotNegative | None, Field(description="set counts below this to 0, after the corrections")] = (
        None
    )


class GeometryOptions(Options):
    """Where the detector stood"""

    energy_ev: Annotated[Positive | None, _believed("energy_ev"), Field(description="photon energy in eV")] = None
    distance_m: Annotated[Positive | None, _believed("distance_m"), Field(description="sample to detector in m")] = None
    pixel_m: Annotated[
        Pixels | None,
        _believed("pixel_m"),
        Field(description="detector pixel in m, before --bin: 55e-6, or from row to row,column to column"),
    ] = None
    beam_centre_px: Annotated[
        Numbers | None,
        Field(description="row,column of the direct beam on the whole detector, its circles at zero"),
    ] = None
    rocking_step_rad: Annotated[
        NotZero | None,
        _believed("rocking_step_rad"),
        Field(description="rocking angle per slice of a volume, in rad"),
    ] = None
    beamline: Annotated[
        str | None, Field(description="whose axes and motor names: a name of `cdipipe beamlines`, or a YAML file")
    ] = None
    scan_file: Annotated[
        FileName | None, Field(description="SPEC, FIO or HDF5 file with the motor positions; needs --beamline")
    ] = None
    scan: Annotated[int | None, Field(ge=0, description="number of the scan in --scan-file")] = None
    angles: Annotated[
        Angles | None, Field(description="angles of circles in degrees, over those of the file: theta=0.2,delta=32")
    ] = None
    scan_motor: Annotated[str | None, Field(description="circle that was scanned, where no file says so")] = None

    @property
    def given_angles(self) -> dict[str, float]:
        """Degrees by the name of a circle or motor."""
        return {name: float(angle) for name, _, angle in (pair.partition("=") for pair in self.angles or ())}

    @property
    def given_geometry(self) -> dict[str, Any]:
        """Fields of :class:`cdipipe.geometry.Geometry` that were given."""
        names = ("energy_ev", "distance_m", "beam_centre_px", "rocking_step_rad")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        if self.pixel_m is not None:
            given |= {"pixel_y_m": self.pixel_m[0], "pixel_x_m": self.pixel_m[-1]}
        return given


class WindowOptions(Options):
    """What is kept"""

    bin: Annotated[Sizes | None, Field(description="sum photons over blocks: 2 (detector axes) or 1,2,2")] = None
    crop: Annotated[
        Sizes | None,
        Field(description="size of the result, after --bin, around the centre: 256, 128,128 or 96,128,128"),
    ] = None
    centre: Annotated[
        Literal["peak", "middle", "file"] | Integers,
        Field(description="pixel to crop around: peak, middle, file (CXI), or row,column after --bin"),
    ] = "peak"
    no_centre: Annotated[bool, Field(description="crop around the middle of the array: --centre middle")] = False
    friedel: Annotated[bool, Field(description="fill unmeasured pixels by I(q) = I(-q); for real objects")] = False
    probe: Annotated[FileName | None, Field(description="probe modes (M, H, W), FILE[::KEY]: npy npz mat h5 cxi")] = (
        None
    )
    exposure_s: Annotated[Positive | None, Field(description="exposure per frame; for a --probe given per second")] = (
        None
    )
    frame_interval_s: Annotated[Positive | None, Field(description="time from frame to frame of a movie, in s")] = None
    keep_shots: Annotated[
        Annotated[str, AfterValidator(checked_rule)] | None,
        Field(description="shots to keep, judged by their patterns: single, hits (no blanks), or 'score > 0.3'"),
    ] = None

    @property
    def wanted_centre(self) -> str | tuple[int, ...]:
        return "middle" if self.no_centre else self.centre


class ImportOptions(WindowOptions, GeometryOptions, PhotonOptions, ReadOptions):
    """All options of ``cdipipe import``; None and False leave things as they are."""

    def named_files(self) -> list[str]:
        """Files named by options, each FILE or FILE::KEY."""
        return list(self.files_by_option().values())

    def files_by_option(self) -> dict[str, str]:
        """The same by the option's name."""
        given = {name: value for name in file_fields(ImportOptions) if (value := getattr(self, name)) is not None}
        keys = key_fields(ImportOptions)
        return {name: value for name, value in given.items() if name not in keys or _has_file(value)}

    def chosen(self) -> dict[str, Any]:
        """Options that differ from their defaults, as plain data."""
        return self.model_dump(mode="json", exclude_defaults=True)


GROUPS: tuple[type[Options], ...] = (ReadOptions, PhotonOptions, GeometryOptions, WindowOptions)


def fields_by_group() -> Iterator[tuple[str, str, FieldInfo]]:
    """Heading, name and field of every option, in the order of the steps."""
    for group in GROUPS:
        for name in group.__annotations__:
            yield (group.__doc__ or "").partition("\n")[0], name, group.model_fields[name]


def file_fields(model: type[BaseModel]) -> list[str]:
    """Names of the fields that name a file."""
    return [name for name, field in model.model_fields.items() if _is_marked(field.annotation, field.metadata, _File)]


def key_fields(model: type[BaseModel]) -> list[str]:
    """Names of those that may name an array instead."""
    fields = model.model_fields.items()
    return [name for name, field in fields if _is_marked(field.annotation, field.metadata, _FileOrKey)]


def _has_file(name: str) -> bool:
    """Whether a FILE::KEY or KEY names a file."""
    return "::" in name or name.lower().endswith(FILES_OF_NUMBERS)


def _is_marked(annotation: Any, metadata: Any, kind: type) -> bool:
    if any(isinstance(mark, kind) for mark in metadata):
        return True
    if get_origin(annotation) is Annotated:
        return any(isinstance(mark, kind) for mark in annotation.__metadata__)
    if get_origin(annotation) in (Union, types.UnionType):
        return any(_is_marked(member, (), kind) for member in get_args(annotation))
    return False


def options_from_command(given: dict[str, Any]) -> ImportOptions:
    """The record from what stands on the command line, None where nothing does.

    Raises
    ------
    InputError   ``--crop a,b: expected whole numbers with commas, such as 128,128``
    """
    try:
        return ImportOptions.model_validate({name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False)[-1]
        name = str(first["loc"][0])
        shown = given[name] if isinstance(given[name], str) else ""
        raise InputError(f"--{name.replace('_', '-')} {shown}: {_reason(first)}") from None


def _reason(detail: Any) -> str:
    if detail["type"] == "literal_error":
        return "expected " + detail["ctx"]["expected"].replace("'", "")
    return detail["msg"].removeprefix("Value error, ")
