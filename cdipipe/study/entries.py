"""The entries of a study's configuration: measurements, corpora, networks; see ``cdipipe.study.config``."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema, field_validator, model_validator

from cdipipe.errors import InputError
from cdipipe.io.importing.options import FileName, ImportOptions
from cdipipe.settings import validate

AS_WRITTEN = {"type": "string", "pattern": r"^[A-Za-z0-9{*?][A-Za-z0-9_{}.*?-]*$"}
"""What an editor allows for a name: in a file it may be a pattern, see ``grids`` and ``names``."""
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=100), WithJsonSchema(AS_WRITTEN)]
"""Two of them and a few words are the name of a log."""
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(gt=0)]
FEWEST_SHOTS = 8
"""Shots of a stack from which on they are listed one by one."""


class Section(BaseModel):
    """A level of the tree: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, use_attribute_docstrings=True)


class ImportEntry(ImportOptions):
    """How counts in files become a Measurement: the files, and every option of ``cdipipe import``.

    Files are FILE or FILE::KEY, relative to where the workflow runs or, in an entry with ``fetch``, to the folder of
    that data set.
    """

    files: list[FileName] = Field(min_length=1)
    """files of counts, each FILE or FILE::KEY; several are stacked"""

    def sources(self) -> list[str]:
        """Files that are read, patterns and numbered series spelt out, without ::KEY; what matches nothing as it is."""
        return [file for name in [*self.files, *self.named_files()] for file in _files_of(name.partition("::")[0])]

    def inside(self, folder: Path) -> ImportEntry:
        """The same options with all files in a folder."""
        changed = {name: str(folder / value) for name, value in self.files_by_option().items()}
        return self.model_copy(update=changed | {"files": [str(folder / name) for name in self.files]})

    def arguments(self) -> list[str]:
        """Files and options as they stand on the command line."""
        return [*self.files, *as_options(self.model_dump(exclude={"files"}, exclude_defaults=True))]


def _files_of(name: str) -> list[str]:
    """The files that a name stands for."""
    if os.path.exists(name) or not set(name) & set("*?[%"):
        return [name]
    from cdipipe.io.importing.files import expand

    try:
        return expand(name)
    except InputError:
        return [name]


class GridEntry(Section):
    """An entry that ``grid`` multiplies out, see ``cdipipe.study.grids``; none is left when it is checked."""

    grid: dict[str, list[Any] | dict[str, Any]] = Field({}, exclude=True)
    """key -> values: one entry for every combination; keys that are not the entry's own go into `set`"""

    @field_validator("grid")
    @classmethod
    def _multiplied_out(cls, grid: dict) -> dict:
        if grid:
            raise ValueError("not multiplied out; read the study by load_config or at_scale")
        return grid


class StrainEntry(Section):
    """How displacement and strain are made of a rocking curve's objects; the options of ``cdipipe strain``."""

    lattice: str | float | None = Field(None, description="unstrained lattice: a material, or its cell in nm")
    hkl: list[int] | None = Field(None, min_length=3, max_length=3, description="reflection")
    surface: float | None = Field(None, gt=0, lt=1, description="share of the amplitude where the crystal ends")
    frame: Literal["crystal", "sample", "lab"] | None = Field(None, description="of the orthogonal grid")
    toward: list[float] | None = Field(None, min_length=3, max_length=3, description="lab direction near the frame's x")
    voxel_nm: Positive | None = Field(None, description="edge of the orthogonal grid's voxels")
    twin: bool = Field(False, description="take the conjugated, inverted object")
    keep_ramp: bool = Field(False, description="leave the mean phase ramp")


class MeasurementEntry(GridEntry):
    """One named measurement: simulated (``scene``) or read from files (``import``, perhaps of a public set)."""

    scene: str | None = None
    """what is simulated, see `cdipipe scenes`"""
    seed: Count | None = None
    """of the object and its noise"""
    set: dict[str, Any] = {}
    """parameters of the scene, see `cdipipe scenes NAME`"""
    fetch: Name | None = None
    """public data set that the files of `import` belong to"""
    import_: ImportEntry | None = Field(None, alias="import")
    """what is read from files, with the options of `cdipipe import`"""
    export: list[Name] = []
    """formats of ``cdipipe export``"""
    strain: StrainEntry | None = None
    """displacement and strain of every object of a rocking curve; ``{}`` takes the defaults"""
    uncertainty: bool | None = None
    """error bars of every object; left out: where the configuration tells that it is one object, not a stack"""
    resolution: bool = False
    """resolution of every object without its truth; takes six times as long as the phasing"""

    @model_validator(mode="after")
    def _one_origin(self) -> MeasurementEntry:
        if (self.scene is None) == (self.import_ is None):
            raise ValueError("needs exactly one of 'scene' (simulate) and 'import' (read files)")
        if self.scene is None and (self.set or self.seed is not None):
            raise ValueError("'set' and 'seed' belong to a 'scene'; an import takes its options under 'import'")
        if self.fetch and self.import_ is None:
            raise ValueError("'fetch' names the data set that 'import' reads; a 'scene' takes none")
        return self

    @property
    def is_movie(self) -> bool:
        """Whether the measurement has frames in time, as far as the configuration tells."""
        return self.import_.stack == "movie" if self.import_ is not None else "movie" in self.gives()

    @property
    def has_error_bars(self) -> bool:
        """Whether error bars are made: as asked for, or where this is one object as far as the configuration tells."""
        if self.uncertainty is not None:
            return self.uncertainty
        if self.import_ is not None:
            return self.import_.stack in ("single", "volume")
        return not self.is_movie and _count_of(self.scene, json.dumps(self.set)) == 1

    @property
    def has_shots(self) -> bool:
        """Whether the measurement is a stack of shots that is worth a table, as far as the configuration tells."""
        if self.import_ is not None:
            return self.import_.stack == "shots"
        return not self.is_movie and _count_of(self.scene, json.dumps(self.set)) >= FEWEST_SHOTS

    def gives(self) -> frozenset[str]:
        """What a simulated measurement has, in the words of a method's ``needs``."""
        return _given_by(self.scene, json.dumps(self.set))

    def located(self) -> ImportEntry:
        """The import's options with its files where they are, or will be once the data set is fetched."""
        if self.fetch is None:
            return self.import_
        from cdipipe.io.datasets import dataset_folder

        return self.import_.inside(dataset_folder(self.fetch))


class CorpusEntry(GridEntry):
    """One named corpus: many samples of a scene, made in shards; the options of ``cdipipe corpus``."""

    scene: str
    """what is simulated, see `cdipipe scenes`"""
    count: Size
    """samples"""
    shards: Size = 1
    """parts that are made side by side"""
    seed: Count = 0
    """sample i depends on parameters, seed and i"""
    chunk: Size | None = None
    """samples per chunk; not given: as many as fit into 32 MiB, at most 256"""
    set: dict[str, Any] = {}
    """parameters of the scene, see `cdipipe scenes NAME`"""

    @model_validator(mode="after")
    def _filled(self) -> CorpusEntry:
        if self.shards > self.count:
            raise ValueError(f"shards {self.shards}: more than there are samples (count {self.count})")
        return self

    def options(self) -> list[str]:
        """Command-line options of ``cdipipe corpus``; folder and shard not included."""
        numbers = {"count": self.count, "shards": self.shards, "seed": self.seed, "chunk": self.chunk}
        return [self.scene, *as_options(numbers), *set_options(self.set)]


class PairsEntry(Section):
    """Samples of one's own: patterns and the objects behind them, FILE or FILE::KEY; see ``cdipipe train --pairs``."""

    intensity: str
    """patterns in photons"""
    object: str
    """the objects behind them"""
    mask: str | None = None
    """nonzero where a pattern was measured"""

    def files(self) -> list[str]:
        """Files without ::KEY."""
        return [name.partition("::")[0] for name in (self.intensity, self.object, self.mask) if name]

    def options(self) -> list[str]:
        """Command-line options of ``cdipipe train``."""
        return ["--pairs", self.intensity, self.object, *as_options({"mask": self.mask})]


class NetworkEntry(GridEntry):
    """One named network, trained on a corpus of the study or on pairs; the options of ``cdipipe train``.

    A method uses it by its name: ``{method: cdi_nn, checkpoint: NAME}``.
    """

    network: str
    """what is trained: a network of this package or of a plug-in"""
    corpus: Name | Annotated[list[Name], Field(min_length=1)] | None = None
    """corpus of the study that it learns from; several are taken together, see the setting `shares`"""
    pairs: PairsEntry | None = None
    """files of your own that it learns from"""
    judge: Name | None = None
    """corpus of the study, of samples that it has not seen, on every one of which it is judged"""
    set: dict[str, Any] = {}
    """settings of network and training"""
    devices: Size = 1
    """processes, with device: cuda one GPU each"""

    @model_validator(mode="after")
    def _one_source(self) -> NetworkEntry:
        if (self.corpus is None) == (self.pairs is None):
            raise ValueError("needs exactly one of 'corpus' (of the study) and 'pairs' (files of your own)")
        if self.judge is not None and self.judge in self.corpora:
            raise ValueError(f"judge '{self.judge}': it learns from that; take another corpus")
        return self

    @property
    def corpora(self) -> list[str]:
        """Corpora of the study that it learns from."""
        return [] if self.corpus is None else [self.corpus] if isinstance(self.corpus, str) else self.corpus

    def options(self) -> list[str]:
        """Command-line options of ``cdipipe train``; samples and folder not included."""
        return [self.network, *as_options({"devices": self.devices}), *set_options(self.set)]


class Pairing(Section):
    """These methods on these measurements; a list left out means all of them."""

    measurements: list[Name] | None = None
    """left out: all"""
    methods: list[Name] | None = None
    """left out: all"""
    fitting: bool = False
    """only pairs whose measurement has, by its scene, what the method says that it needs"""


class AverageOptions(Section):
    """The mean of the best aligned runs takes the place of the single best run."""

    keep_best: Size = 5
    """runs of lowest score that are averaged"""
    agree: float = Field(0.9, ge=0, le=1)
    """runs that correlate less than this with the best are left out"""
    drop: list[Count] = []
    """numbers of runs to leave out"""
    modes: Size = 3
    """orthogonal modes of the kept runs that are stored"""


@functools.cache
def _given_by(scene: str, settings: str) -> frozenset[str]:
    """What a scene with these settings, as JSON, gives."""
    from cdipipe.simulation.registry import get_scene

    found = get_scene(scene)
    return frozenset(found.gives(validate(found.parameters, json.loads(settings), scene)))


@functools.cache
def _count_of(scene: str, settings: str) -> int:
    """Patterns that a scene with these settings, as JSON, gives; 1 where it does not say."""
    from cdipipe.simulation.registry import get_scene

    return getattr(validate(get_scene(scene).parameters, json.loads(settings), scene), "count", 1)


def set_options(settings: Mapping[str, Any]) -> list[str]:
    """``--set=key=value`` for every parameter of a scene."""
    return [f"--set={key}={json.dumps(value)}" for key, value in settings.items()]


def as_options(settings: Mapping[str, Any] | Section) -> list[str]:
    """``--key=value`` for every setting: lists joined by commas, flags without value, None and False left out."""
    settings = settings.model_dump() if isinstance(settings, Section) else settings
    options = []
    for key, value in settings.items():
        flag = "--" + key.replace("_", "-")
        if value is True:
            options.append(flag)
        elif isinstance(value, (list, tuple)):
            options += [f"{flag}={','.join(map(str, value))}"] if value else []
        elif value is not None and value is not False:
            options.append(f"{flag}={value}")
    return options
