"""The configuration of a study: one tree, unknown keys forbidden at every level, units in the names.

A study is a set of named measurements, a set of named methods, and which methods run on which measurements. Nothing
here imports torch: the Snakefile itself reads its file through :func:`load_config`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cdipipe.errors import InputError
from cdipipe.settings import load_yaml, unknown_name, validate

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]
Size = Annotated[int, Field(gt=0)]


class Section(BaseModel):
    """A level of the tree: frozen, and a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ImportOptions(Section):
    """How counts in files become a Measurement; the options of ``cdipipe import``.

    ``files``, ``mask``, ``dark`` and ``whitefield`` are FILE or FILE::KEY, relative to where the workflow runs or, in
    an entry with ``fetch``, to the folder of that data set.
    """

    files: list[str] = Field(min_length=1)
    mask: str | None = None
    mask_bad: bool = False
    dark: str | None = None
    whitefield: str | None = None
    roi: tuple[Count, Count] | None = None
    stack: Literal["shots", "movie", "volume"] | None = None
    dataset: str | None = None
    axis: list[Count] | None = None
    corner: bool = False
    amplitude: bool = False
    saturation: Positive | None = None
    threshold: Annotated[float, Field(ge=0)] | None = None
    bin: list[Size] | None = None
    crop: list[Size] | None = None
    centre: list[Count] | None = None
    no_centre: bool = False
    energy_ev: Positive | None = None
    distance_m: Positive | None = None
    pixel_m: Positive | None = None
    rocking_step_rad: float | None = None


class MeasurementEntry(Section):
    """One named measurement: simulated (``scene``) or read from files (``import``, perhaps of a public set)."""

    scene: str | None = None
    seed: Count | None = None
    set: dict[str, Any] = {}
    fetch: Name | None = None
    import_: ImportOptions | None = Field(None, alias="import")
    export: list[Literal["vti", "npz", "tif"]] = []

    @model_validator(mode="after")
    def _one_origin(self) -> MeasurementEntry:
        if (self.scene is None) == (self.import_ is None):
            raise ValueError("needs exactly one of 'scene' (simulate) and 'import' (read files)")
        if self.scene is None and (self.set or self.seed is not None):
            raise ValueError("'set' and 'seed' belong to a 'scene'; an import takes its options under 'import'")
        if self.fetch and self.import_ is None:
            raise ValueError("'fetch' names the data set that 'import' reads; a 'scene' takes none")
        return self

    def located(self) -> ImportOptions:
        """The import's options with its files where they are, or will be once the data set is fetched."""
        if self.fetch is None:
            return self.import_
        from cdipipe.io.datasets import dataset_folder

        folder = dataset_folder(self.fetch)
        changed = {"files": [str(folder / name) for name in self.import_.files]}
        for key in ("mask", "dark", "whitefield"):
            if name := getattr(self.import_, key):
                changed[key] = str(folder / name)
        return self.import_.model_copy(update=changed)


class CorpusEntry(Section):
    """One named corpus: many samples of a scene, made in shards; the options of ``cdipipe corpus``."""

    scene: str
    count: Size
    shards: Size = 1
    seed: Count = 0
    chunk: Size | None = None
    set: dict[str, Any] = {}

    @model_validator(mode="after")
    def _filled(self) -> CorpusEntry:
        if self.shards > self.count:
            raise ValueError(f"shards {self.shards}: more than there are samples (count {self.count})")
        return self

    def options(self) -> list[str]:
        """Command-line options of ``cdipipe corpus``; folder and shard not included."""
        numbers = {"count": self.count, "shards": self.shards, "seed": self.seed, "chunk": self.chunk}
        return [self.scene, *as_options(numbers), *set_options(self.set)]


class Pairing(Section):
    """These methods on these measurements; a list left out means all of them."""

    measurements: list[Name] | None = None
    methods: list[Name] | None = None


class AverageOptions(Section):
    """The mean of the best aligned runs takes the place of the single best run."""

    keep_best: Size = 5
    drop: list[Count] = []
    modes: Size = 3


class Config(Section):
    """The whole study.

    Raises
    ------
    pydantic.ValidationError   an entry that another one names does not exist, or two settings contradict each other
    """

    output: str = Field(min_length=1)
    measurements: dict[Name, MeasurementEntry] = Field(min_length=1)
    methods: dict[Name, dict[str, Any]] = Field(min_length=1)
    corpora: dict[Name, CorpusEntry] = {}
    reconstructions: list[Pairing] = [Pairing()]
    seed: Count = 0
    restarts: Size = 1
    threads: Size = 1
    device: Literal["auto", "cpu", "cuda"] = "auto"
    keep_runs: bool = True
    free_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    average: AverageOptions | None = None

    @model_validator(mode="after")
    def _names_exist(self) -> Config:
        for index, pairing in enumerate(self.reconstructions):
            for kind, known in (("measurements", self.measurements), ("methods", self.methods)):
                for name in getattr(pairing, kind) or []:
                    if name not in known:
                        raise unknown_name(kind[:-1], name, known, f"reconstructions[{index}].{kind}")
        if self.average and not self.keep_runs:
            raise ValueError("average: needs the runs, which keep_runs: false throws away")
        return self

    def pairs(self) -> list[tuple[str, str]]:
        """(measurement, method) of every reconstruction, each once, in the order of the file."""
        pairs = {}
        for pairing in self.reconstructions:
            for measurement in pairing.measurements or self.measurements:
                pairs.update({(measurement, method): None for method in pairing.methods or self.methods})
        return list(pairs)

    def simulated(self) -> list[str]:
        """Names of the measurements that have a truth."""
        return [name for name, entry in self.measurements.items() if entry.scene]

    def imported(self) -> list[str]:
        """Names of the measurements that come from files."""
        return [name for name, entry in self.measurements.items() if entry.import_]

    def sources(self, measurement: str) -> list[str]:
        """Files that an import reads, without ::KEY; of a data set to fetch, the note that it is there."""
        entry = self.measurements[measurement]
        if entry.fetch:
            return [f"{self.output}/data/{entry.fetch}.txt"]
        options = entry.import_
        named = [*options.files, options.mask, options.dark, options.whitefield]
        return [name.partition("::")[0] for name in named if name]

    def used(self) -> list[str]:
        """Names of the measurements that a reconstruction uses, in the order of the file."""
        wanted = {measurement for measurement, _ in self.pairs()}
        return [name for name in self.measurements if name in wanted]

    def compared(self) -> list[str]:
        """Names of the measurements with more than one method."""
        counts = Counter(measurement for measurement, _ in self.pairs())
        return [name for name in self.measurements if counts[name] > 1]

    def result_name(self) -> str:
        """File of each reconstruction's result: the mean of the best runs where asked for, else the best run."""
        return "mean.cxi" if self.average else "R.cxi"

    def options(self, command: str, measurement: str, method: str = "") -> list[str]:
        """Command-line options of ``cdipipe COMMAND`` for one measurement (and method); files in and out not included.

        Parameters
        ----------
        command : ``simulate``, ``import``, ``reconstruct`` or ``runs``
        """
        entry = self.measurements[measurement]
        if command == "simulate":
            seed = [] if entry.seed is None else [f"--seed={entry.seed}"]
            return [entry.scene, *seed, *set_options(entry.set)]
        if command == "import":
            located = entry.located()
            return [*located.files, *as_options(located.model_dump(exclude={"files"}))]
        if command == "runs":
            return as_options(self.average)
        restarts = self.methods[method].get("restarts", self.restarts)
        shared = {"seed": self.seed, "restarts": restarts, "device": self.device, "keep_runs": self.keep_runs}
        return as_options(shared | {"free_fraction": self.free_fraction or None})


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


def load_config(path: str | Path) -> Config:
    """Read and check a configuration file, scenes and recipes included.

    Raises
    ------
    InputError   one line that names the file, the key, what was got and what is allowed
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file; expected a configuration in YAML") from error
    return check_config(load_yaml(text, str(path)), str(path))


def check_config(mapping: Any, where: str) -> Config:
    """A :class:`Config` from plain data; ``where`` names its file in messages.

    Raises
    ------
    InputError   as :func:`load_config`
    """
    from cdipipe.methods.recipe import recipe_from_mapping

    config = validate(Config, mapping, where)
    for name, recipe in config.methods.items():
        recipe_from_mapping({"restarts": config.restarts, **recipe}, where=f"{where}: methods.{name}")
    for name, corpus in config.corpora.items():
        if name in config.measurements or name in ("data", "logs", "benchmarks"):
            raise InputError(f"{where}: corpora.{name}: another part of the study has this name")
        _check_scene(corpus, f"{where}: corpora.{name}")
    for name, entry in config.measurements.items():
        if entry.scene:
            _check_scene(entry, f"{where}: measurements.{name}")
        if entry.fetch:
            _check_dataset(entry.fetch, f"{where}: measurements.{name}.fetch")
    return config


def _check_scene(entry: MeasurementEntry | CorpusEntry, where: str) -> None:
    from cdipipe.simulate.registry import get_scene

    scene = get_scene(entry.scene, f"{where}.scene")
    validate(scene.parameters, entry.set, f"{where}.set")


def _check_dataset(name: str, where: str) -> None:
    from cdipipe.io.datasets import DATASETS

    if name not in DATASETS:
        raise unknown_name("data set", name, DATASETS, where)
