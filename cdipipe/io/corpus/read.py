"""Read a finished corpus: its card, its records, and whole chunks of its arrays."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe import extras
from cdipipe.errors import InputError
from cdipipe.inputs import check_readable
from cdipipe.io.corpus.content import CardContent, RecordContent
from cdipipe.io.corpus.plan import Plan, check_arrays, read_json, read_plan, shard_name
from cdipipe.io.corpus.shard import STORE, records_path
from cdipipe.io.hdf5.faults import one_line
from cdipipe.io.memory import check_size
from cdipipe.settings import read_text

MOST_METADATA = 2**20
"""Bytes of a zarr.json, and of what a packed chunk may have beyond twice its values."""


def check_no_larger(path: Path, most: int) -> None:
    """Raise InputError for a file that is none, or larger than it can be; one that is not there is as it should be."""
    if path.exists():
        check_readable(path)
        if path.stat().st_size > most:
            raise InputError(f"{path}: {path.stat().st_size} bytes; at most {most} are expected")


@dataclass(frozen=True)
class Corpus:
    """A corpus whose shards are all there.

    Parameters
    ----------
    folder : where it is
    plan : what it is made of
    card : content of ``corpus.json``
    """

    folder: Path
    plan: Plan
    card: dict[str, Any]

    @property
    def scene(self) -> str:
        """Of which fresh samples can be drawn."""
        return self.plan.kind

    @cached_property
    def chunks(self) -> list[tuple[int, int]]:
        """(shard, chunk) of every chunk, in the order of the samples."""
        return [(s, c) for s in range(self.plan.shards) for c in range(self.plan.chunk_count(s))]

    def chunk_indices(self, shard: int, chunk: int) -> range:
        """Global indices of the samples of a chunk."""
        return self.plan.chunk_range(shard, chunk)

    @cached_property
    def _opened(self) -> dict[tuple[int, str], Any]:
        return {}

    def read_chunk(self, shard: int, chunk: int, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Arrays (samples of the chunk, ...) by name.

        Raises
        ------
        InputError   an array does not exist, or the chunk is damaged
        """
        check_arrays(names, self.card, self.folder)
        start = chunk * self.plan.chunk_samples
        window = slice(start, start + len(self.chunk_indices(shard, chunk)))
        try:
            return {name: self._stored(shard, name, chunk)[window] for name in names}
        except Exception as error:  # what zarr raises on damaged metadata is anything
            raise InputError(
                f"{self.folder}: {shard_name(shard)} chunk {chunk} is damaged or missing ({one_line(error)[:80]}); "
                f"`cdipipe corpus {self.plan.kind} -o {self.folder}` repairs it"
            ) from None

    def _stored(self, shard: int, name: str, chunk: int) -> Any:
        """An array of a shard, of which a chunk will be read: its file is not larger than the card says."""
        told, store = self.card["arrays"][name], self.folder / shard_name(shard) / STORE
        values = self.plan.chunk_samples * math.prod(told["sample_shape"]) * _item_bytes(told["dtype"])
        parts = ".".join(["c", str(chunk), *["0"] * len(told["sample_shape"])])
        check_no_larger(store / name / parts, 2 * values + MOST_METADATA)
        if (shard, name) not in self._opened:
            self._opened[shard, name] = self._open(shard, name)
        return self._opened[shard, name]

    def _open(self, shard: int, name: str) -> Any:
        """An array of a shard, whose metadata are what the card says."""
        zarr = extras.load("zarr", "a corpus")
        told, store = self.card["arrays"][name], self.folder / shard_name(shard) / STORE
        check_no_larger(store / "zarr.json", MOST_METADATA)
        check_no_larger(store / name / "zarr.json", MOST_METADATA)
        found = zarr.open_group(store, mode="r", zarr_format=3)[name]
        shape = (len(self.plan.shard_range(shard)), *told["sample_shape"])
        chunks = (self.plan.chunk_samples, *told["sample_shape"])
        if (found.shape, found.chunks, str(found.dtype)) != (shape, chunks, told["dtype"]):
            raise ValueError(f"{name} is {found.dtype} {found.shape}; the card says {told['dtype']} {shape}")
        return found

    def records(self) -> Iterator[dict[str, Any]]:
        """The record of every sample, in order.

        Raises
        ------
        InputError   a file of records is damaged
        """
        for shard, chunk in self.chunks:
            path = records_path(self.folder / shard_name(shard), chunk)
            try:
                found = [json.loads(line) for line in read_text(path).splitlines()]
                indices = [RecordContent.model_validate(record).index for record in found]
                if indices != list(self.chunk_indices(shard, chunk)):
                    raise ValueError("the records of other samples")
            except (ValueError, RecursionError):
                raise InputError(
                    f"{path}: damaged; `cdipipe corpus {self.plan.kind} -o {self.folder}` makes the chunk again"
                ) from None
            yield from found


def open_corpus(folder: str | Path) -> Corpus:
    """A finished corpus.

    Raises
    ------
    InputError   there is none, or it is not finished
    """
    folder = Path(folder)
    plan = read_plan(folder)
    if plan is None:
        raise InputError(f"{folder}: holds no corpus (no plan.json); make one with `cdipipe corpus`")
    card = read_json(folder / "corpus.json", CardContent)
    if card is None or card["plan_digest"] != plan.digest:
        raise InputError(f"{folder}: the corpus is not finished; go on with `cdipipe corpus {plan.kind} -o {folder}`")
    for name, facts in card["arrays"].items():
        check_size((plan.chunk_samples, *facts["sample_shape"]), _item_bytes(facts["dtype"]), f"{folder}: {name}")
    return Corpus(folder, plan, card)


def _item_bytes(dtype: str) -> int:
    try:
        return np.dtype(dtype).itemsize
    except TypeError:
        raise InputError(f"'{dtype[:40]}' is no type of numbers; the card of the corpus is damaged") from None
