"""The tree of a study: unknown keys forbidden at every level, units in the names; and what follows from it.

A study is a set of named measurements, a set of named methods, and which methods run on which measurements. Nothing
here imports torch. ``cdipipe.study.config`` reads it from a file.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from cdipipe.settings import unknown_name
from cdipipe.study.entries import (
    AverageOptions,
    CorpusEntry,
    Count,
    MeasurementEntry,
    Name,
    NetworkEntry,
    Pairing,
    Section,
    Size,
    as_options,
    set_options,
)
from cdipipe.study.figure_entries import CurvesEntry, DistributionEntry, GalleryEntry, TableEntry
from cdipipe.study.paths import OutputFolder
from cdipipe.study.sweeps import FREE_BLOCK_PX, FREE_FRACTION, SweepEntry
from cdipipe.tuning.choices import TuneChoices

FIGURES = ("tables", "galleries", "curves", "distributions", "sweeps")
"""Kinds of what a study shows by name."""
FigureEntry = TableEntry | GalleryEntry | CurvesEntry | DistributionEntry | SweepEntry


class Config(Section):
    """The whole study.

    Raises
    ------
    pydantic.ValidationError   an entry that another one names does not exist, or two settings contradict each other
    """

    output: OutputFolder
    """folder of the results, relative to where the workflow runs; ~ is the home folder"""
    measurements: dict[Name, MeasurementEntry] = Field(min_length=1)
    """simulated or read from files, each under a name"""
    methods: dict[Name, dict[str, Any]] = Field(min_length=1)
    """how objects are reconstructed, each under a name"""
    corpora: dict[Name, CorpusEntry] = Field({})
    """training data, each under a name"""
    networks: dict[Name, NetworkEntry] = Field({})
    """what is trained, each under a name that methods give as their checkpoint"""
    reconstructions: list[Pairing] = Field([Pairing()])
    """which methods run on which measurements; left out: all on all"""
    seed: Count = 0
    """of the random starts"""
    restarts: Size = 1
    """random starts per reconstruction, unless a method says otherwise"""
    threads: Size = 1
    """per reconstruction"""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """where reconstructions and trainings run; auto: on a GPU if there is one"""
    keep_runs: bool = True
    """store every run: needed for PRTF, repeatability and `average`"""
    free_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """share of the pixels withheld, for the free R-factor and likelihood; 0: of methods that are swept a twentieth"""
    free_block_px: Count = 1
    """side of the blocks that are withheld; 1: single pixels, 0: about a speckle"""
    average: AverageOptions | None = None
    """left out: the best run is the result"""
    tables: dict[Name, TableEntry] = Field({})
    """a metric of methods on measurements, each under a name"""
    galleries: dict[Name, GalleryEntry] = Field({})
    """objects side by side, each under a name"""
    curves: dict[Name, CurvesEntry] = Field({})
    """profiles, densities of classes and PRTF over draws of the noise, each under a name"""
    distributions: dict[Name, DistributionEntry] = Field({})
    """a metric of every pattern, each under a name"""
    sweeps: dict[Name, SweepEntry] = Field({})
    """methods that differ by one key; made by the `sweep` of a method"""
    tunings: dict[Name, TuneChoices] = Field({})
    """methods whose settings are chosen for each measurement; made by the `tune` of a method"""
    scale: Name | None = None
    """which of ``scales`` is laid over the rest"""
    scales: dict[Name, dict[str, Any]] = Field({})
    """other sizes of the same study: what each lays over the rest"""

    @model_validator(mode="after")
    def _names_exist(self) -> Config:
        for where, kind, names in self._references():
            known = getattr(self, kind)
            for name in names:
                if name not in known:
                    raise unknown_name(kind[:-1], name, known, where)
        taken: set[str] = set()
        for kind in FIGURES:
            for name in taken & set(getattr(self, kind)):
                raise ValueError(f"{kind}.{name}: another figure has this name already")
            taken |= set(getattr(self, kind))
        if self.average and not self.keep_runs:
            raise ValueError("average: needs the runs, which keep_runs: false throws away")
        return self

    def _references(self) -> list[tuple[str, str, list[str]]]:
        """Where entries name others: place, kind of the others, names."""
        found = []
        for index, pairing in enumerate(self.reconstructions):
            place = f"reconstructions[{index}]"
            found += [(f"{place}.{kind}", kind, getattr(pairing, kind) or []) for kind in ("measurements", "methods")]
        for name, table in self.tables.items():
            members = [member for heading in table.columns for member in table.members(heading)]
            found += [(f"tables.{name}.columns", "measurements", members)]
            found += [(f"tables.{name}.methods", "methods", table.methods or [])]
        for kind in ("galleries", "curves"):
            for name, entry in getattr(self, kind).items():
                found += [(f"{kind}.{name}.rows", "measurements", _members(entry))]
                found += [(f"{kind}.{name}.methods", "methods", entry.methods or [])]
        for name, entry in self.distributions.items():
            found += [(f"distributions.{name}.{k}", k, getattr(entry, k) or []) for k in ("measurements", "methods")]
        found += [("tunings", "methods", list(self.tunings))]
        found += [(f"sweeps.{name}.methods", "methods", entry.methods) for name, entry in self.sweeps.items()]
        return found

    def rows_of(self, entry: FigureEntry) -> list[str]:
        """Methods of a figure that run on at least one of its measurements, in the order of the file."""
        members = set(self._members(entry))
        used = {method for measurement, method in self.pairs() if measurement in members}
        return [method for method in entry.methods or self.methods if method in used]

    def drawn(self) -> dict[str, FigureEntry]:
        """Figures that have at least one reconstruction to show."""
        entries = {name: entry for kind in FIGURES for name, entry in getattr(self, kind).items()}
        return {name: entry for name, entry in entries.items() if self.pairs_of(entry)}

    def _members(self, entry: FigureEntry) -> list[str]:
        """Measurements that a figure shows."""
        return list(self.measurements) if isinstance(entry, SweepEntry) else _members(entry)

    def pairs_of(self, entry: FigureEntry) -> list[tuple[str, str]]:
        """(measurement, method) of every reconstruction that a figure shows."""
        members, rows = self._members(entry), self.rows_of(entry)
        return [pair for pair in self.pairs() if pair[0] in members and pair[1] in rows]

    def pairs(self) -> list[tuple[str, str]]:
        """(measurement, method) of every reconstruction, each once, in the order of the file."""
        return list(self._pairs)

    @functools.cached_property
    def _pairs(self) -> dict[tuple[str, str], None]:
        """What :meth:`pairs` gives; the rules ask for it hundreds of times, in every job."""
        pairs = {}
        for pairing in self.reconstructions:
            for measurement in pairing.measurements or self.measurements:
                for method in pairing.methods or self.methods:
                    if not pairing.fitting or not self.lacks(measurement, method):
                        pairs[measurement, method] = None
        return pairs

    def model_copy(self, **options: Any) -> Config:
        """A copy that finds its own pairs."""
        copy = super().model_copy(**options)
        copy.__dict__.pop("_pairs", None)
        return copy

    def lacks(self, measurement: str, method: str) -> list[str]:
        """What a method declares to need and a simulated measurement has not; of a measured one nothing is known."""
        entry = self.measurements[measurement]
        if entry.scene is None:
            return []
        return list(_lacks(entry.gives(), json.dumps(self.recipe_on(measurement, method))))

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
        return entry.import_.sources()

    def exports(self) -> list[str]:
        """Formats that any measurement asks its objects in."""
        return sorted({kind for entry in self.measurements.values() for kind in entry.export})

    def strained(self) -> list[tuple[str, str]]:
        """(measurement, method) of every reconstruction whose displacement and strain are asked for."""
        return [pair for pair in self.pairs() if self.measurements[pair[0]].strain is not None]

    def with_error_bars(self) -> list[tuple[str, str]]:
        """(measurement, method) of every reconstruction whose error bars are made."""
        return [pair for pair in self.pairs() if self.measurements[pair[0]].has_error_bars]

    def with_resolution(self) -> list[tuple[str, str]]:
        """(measurement, method) of every reconstruction whose resolution is asked for without its truth."""
        return [pair for pair in self.pairs() if self.measurements[pair[0]].resolution]

    def with_shots(self) -> list[str]:
        """Names of the measurements whose shots are listed."""
        return [name for name in self.used() if self.measurements[name].has_shots]

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

        Neither is the device, which is decided for all jobs of a run, see ``cdipipe.study.run.device_of_run``.

        Parameters
        ----------
        command : ``simulate``, ``import``, ``reconstruct``, ``tune``, ``runs`` or ``strain``
        """
        entry = self.measurements[measurement]
        if command == "simulate":
            seed = [] if entry.seed is None else [f"--seed={entry.seed}"]
            return [entry.scene, *seed, *set_options(entry.set)]
        if command == "import":
            return entry.located().arguments()
        if command == "runs":
            return as_options(self.average)
        if command == "strain":
            return as_options(entry.strain)
        restarts = self.recipe_on(measurement, method).get("restarts")
        if command == "tune":
            chosen = self.tunings[method].model_dump(exclude_defaults=True)
            own = {"seed": self.seed, "restarts": restarts}
            return as_options(chosen | own | {"checkpoint": self.checkpoint(method)})
        said = "restarts" in self.methods[method]  # by the recipe itself
        shared = {"seed": self.seed, "restarts": None if said else restarts, "keep_runs": self.keep_runs}
        fraction, block = self.free_fraction, self.free_block_px
        if not fraction and any(method in entry.methods for entry in self.sweeps.values()):
            fraction, block = FREE_FRACTION, FREE_BLOCK_PX
        shared |= {"free_fraction": fraction or None, "free_block_px": block if fraction and block != 1 else None}
        return as_options(shared | {"checkpoint": self.checkpoint(method)})

    def recipe_on(self, measurement: str, method: str) -> dict[str, Any]:
        """A method as it runs on a measurement: with the restarts of the study where it says nothing and takes any."""
        from cdipipe.phasing.recipe import with_default

        stack = "movie" if self.measurements[measurement].is_movie else None
        return with_default(self.methods[method], "restarts", self.restarts, stack)

    def network_of(self, method: str) -> str | None:
        """Name of the network of this study that a method uses."""
        steps = self.methods[method].get("steps")
        inner = [
            p for step in steps or [] if isinstance(step, Mapping) for p in step.values() if isinstance(p, Mapping)
        ]
        named = {parameters.get("checkpoint") for parameters in [self.methods[method], *inner]}
        return next((name for name in self.networks if name in named), None)

    def trained(self) -> list[str]:
        """Names of the networks that a reconstruction uses, and of those they start from; all where none uses any."""
        used = {self.network_of(method) for _, method in self.pairs()} - {None}
        used |= {start for name in used for start in self.starts_of(name)}
        return [name for name in self.networks if not used or name in used]

    def starts_of(self, network: str) -> list[str]:
        """The network of this study that a network starts from, the one that this one starts from, and so on."""
        found = [network]
        while (start := self.networks[found[-1]].set.get("start_from")) in self.networks:
            found.append(start)
            if start in found[:-1]:  # in a circle, which is refused
                break
        return found[1:]

    def built(self) -> list[str]:
        """Names of the corpora that a trained network learns from, and of those that are for no network at all."""
        wanted = {corpus for name in self.trained() for corpus in _corpora_of(self.networks[name])}
        idle = {corpus for entry in self.networks.values() for corpus in _corpora_of(entry)} - wanted
        return [name for name in self.corpora if name not in idle]

    def samples_of(self, network: str) -> tuple[list[str], list[str]]:
        """What a network learns from: files that must be there, and command-line options of ``cdipipe train``."""
        entry = self.networks[network]
        starts = [self.trained_file(name) for name in self.starts_of(network)[:1]]
        if entry.pairs is not None:
            return [*entry.pairs.files(), *starts], entry.pairs.options()
        folders = [f"{self.output}/{corpus}" for corpus in entry.corpora]
        return [*(f"{folder}/corpus.json" for folder in folders), *starts], [f"--corpus={one}" for one in folders]

    def training_options(self, network: str) -> list[str]:
        """Command-line options of ``cdipipe train``, the network to start from as its file; samples not included."""
        entry = self.networks[network]
        for name in self.starts_of(network)[:1]:
            entry = entry.model_copy(update={"set": entry.set | {"start_from": self.trained_file(name)}})
        return entry.options()

    def judged(self) -> list[str]:
        """Names of the networks that are judged on a corpus."""
        return [name for name in self.trained() if self.networks[name].judge]

    def seen_by(self, network: str) -> str | None:
        """The first measurement that a method with this network of the study takes; None: it sees no patterns."""
        from cdipipe.networks.registry import get_network

        if get_network(self.networks[network].network).apply is None:
            return None
        return next((m for m, method in self.pairs() if self.network_of(method) == network), None)

    def checkpoint(self, method: str) -> str | None:
        """File of the network of this study that a method uses."""
        network = self.network_of(method)
        return None if network is None else self.trained_file(network)

    def trained_file(self, network: str) -> str:
        """The checkpoint of a network of this study."""
        return f"{self.output}/{network}/best.pt"


def _corpora_of(entry: NetworkEntry) -> list[str]:
    """Corpora that a network learns from, and the one on which it is judged."""
    return [*entry.corpora, *([entry.judge] if entry.judge else [])]


def _members(entry: TableEntry | GalleryEntry | CurvesEntry | DistributionEntry) -> list[str]:
    """Measurements that a figure shows."""
    if isinstance(entry, DistributionEntry):
        return entry.measurements
    if isinstance(entry, GalleryEntry):
        return list(entry.rows.values())
    if isinstance(entry, CurvesEntry):
        return [member for label in entry.rows for member in entry.members(label)]
    return [member for heading in entry.columns for member in entry.members(heading)]


@functools.cache
def _lacks(given: frozenset[str], recipe: str) -> tuple[str, ...]:
    """What a recipe, as JSON, needs and a measurement does not give."""
    from cdipipe.phasing.needs import lacking
    from cdipipe.phasing.recipe import recipe_from_mapping

    return tuple(need for _, need in lacking(recipe_from_mapping(json.loads(recipe)).steps, given))
