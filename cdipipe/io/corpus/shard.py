"""Write and check one shard of a corpus: chunk by chunk, each with a marker that holds its checksums."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe import extras
from cdipipe.errors import InputError
from cdipipe.io.corpus.content import DoneContent, MarkerContent
from cdipipe.io.corpus.plan import Plan, canonical, digest_of, read_json, shard_name, write_json
from cdipipe.provenance import file_sha256, versions

STORE = "data.zarr"
FILL_VALUES = {"measured": True}
"""Chunks that hold nothing but the fill value take no space; 0 for all other arrays."""


@dataclass(frozen=True)
class Batch:
    """Samples as they go into a chunk.

    Parameters
    ----------
    arrays : name -> (n, ...) array; names and shapes are the same in all batches of a corpus
    records : n mappings of plain data
    """

    arrays: dict[str, np.ndarray]
    records: list[dict[str, Any]]


Draw = Callable[[range], Batch]
"""Samples of these global indices."""


def marker_path(folder: Path, chunk: int) -> Path:
    return folder / f"chunk-{chunk:05d}.json"


def records_path(folder: Path, chunk: int) -> Path:
    return folder / f"records-{chunk:05d}.jsonl"


def chunk_fault(folder: Path, plan: Plan, code: str | None, shard: int, chunk: int) -> str | None:
    """What is wrong with a chunk: None, ``missing``, ``made by other code``, ..., or which file is damaged.

    Parameters
    ----------
    code : digest of the code that should have made it; None: any
    """
    marker = read_json(marker_path(folder, chunk), MarkerContent)
    if marker is None:
        return "damaged marker" if marker_path(folder, chunk).exists() else "missing"
    if marker.pop("digest", None) != digest_of(marker):
        return "damaged marker"
    wanted = plan.chunk_range(shard, chunk)
    if marker["plan"] != plan.digest or (marker["first"], marker["count"]) != (wanted.start, len(wanted)):
        return "made with other settings"
    if code is not None and marker["code"] != code:
        return "made by other code"
    for name, checksum in marker["files"].items():
        path = folder / name
        if path.exists() and not path.is_file():
            return f"damaged {name}"
        if path.exists() != (checksum is not None) or (checksum is not None and file_sha256(path) != checksum):
            return f"damaged {name}"
    return None


def shard_faults(corpus: Path, plan: Plan, shard: int, code: str | None = None) -> dict[int, str]:
    """Chunks of a shard that are missing or damaged, and what is wrong with each."""
    folder = corpus / shard_name(shard)
    chunks = range(plan.chunk_count(shard))
    faults = {chunk: chunk_fault(folder, plan, code, shard, chunk) for chunk in chunks}
    return {chunk: fault for chunk, fault in faults.items() if fault}


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the shard's folder for this process.

    Raises
    ------
    InputError   another process writes this shard
    """
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise InputError(f"{folder}: another process is writing this shard; let it end first") from None
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _errors_name(folder: Path) -> Iterator[None]:
    """Let an ``OSError`` without a file, such as that of a full disk, name the shard."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(folder)
        raise


def build_shard(
    corpus: Path,
    plan: Plan,
    shard: int,
    draw: Draw,
    code: str,
    rebuild: bool = False,
    on_chunk: Callable[[int], None] = lambda samples: None,
    say: Callable[[str], None] = lambda line: None,
) -> int:
    """Make the chunks of a shard that are missing or damaged; returns the number of samples drawn.

    Ended at any moment, the next call goes on, and the shard becomes the same to the bit.

    Parameters
    ----------
    corpus : folder with the plan
    draw : makes the samples
    code : digest of the code that draws
    rebuild : remove chunks that other settings or other code made
    on_chunk : called with the number of samples of each chunk that is done
    say : called with a line on each damaged chunk

    Raises
    ------
    InputError   another process writes the shard, or other settings or code made it and ``rebuild`` is not given
    """
    folder = corpus / shard_name(shard)
    folder.mkdir(exist_ok=True)
    started, drawn, store = time.monotonic(), 0, None
    with _errors_name(folder), only_writer(folder), _scratch(folder) as scratch:
        done = corpus / f"{shard_name(shard)}.json"
        ranges = plan.chunk_ranges(shard)
        if _is_stale(folder, plan, code):
            if not rebuild:
                raise InputError(
                    f"{folder}: was made by another version of the code; --rebuild replaces it, or take another folder"
                )
            done.unlink(missing_ok=True)
            _clear(folder)
        for chunk, indices in enumerate(ranges):
            if fault := chunk_fault(folder, plan, code, shard, chunk):
                done.unlink(missing_ok=True)
                if fault != "missing":
                    say(f"{shard_name(shard)} chunk {chunk}: {fault}; built again")
                store = store or _Store(scratch, plan.chunk_samples, len(plan.shard_range(shard)))
                _build_chunk(folder, store, plan, code, chunk, indices, draw(indices))
                drawn += len(indices)
            on_chunk(len(indices))
        _write_done(done, folder, plan, code, drawn, time.monotonic() - started)
    return drawn


def _write_done(done: Path, folder: Path, plan: Plan, code: str, drawn: int, seconds: float) -> None:
    """Mark the shard as whole, unless it already is."""
    files = [read_json(path)["files"] for path in sorted(folder.glob("chunk-*.json"))]  # same data, same digest
    whole = {"plan": plan.digest, "code": code, "chunks": len(files), "digest": digest_of(files)}
    found = read_json(done, DoneContent) or {}
    if drawn or any(found.get(key) != value for key, value in whole.items()):
        write_json(done, {**whole, "samples_drawn": drawn, "seconds": round(seconds, 3), "versions": versions()})


@contextlib.contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder beside the chunks, on the same disk; those that killed builders left are removed."""
    for left in [*folder.glob(".part-*"), *folder.glob(".*.part*")]:
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    scratch = folder / f".part-{os.getpid()}"
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _build_chunk(folder: Path, store: _Store, plan: Plan, code: str, chunk: int, indices: range, batch: Batch) -> None:
    """Write a chunk beside, move its files in place, then write its marker."""
    marker_path(folder, chunk).unlink(missing_ok=True)
    scratch, records = store.folder.parent, records_path(folder, chunk)
    (scratch / records.name).write_text("".join(canonical(r) + "\n" for r in batch.records), encoding="utf-8")
    files: dict[str, str | None] = {}
    for name in [records.name, *store.write(chunk, batch.arrays)]:
        source, target = scratch / name, folder / name
        if not source.exists():  # nothing but the fill value
            target.unlink(missing_ok=True)
            files[name] = None
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        files[name] = file_sha256(source)
        os.replace(source, target)
    marker = {"plan": plan.digest, "code": code, "first": indices.start, "count": len(indices), "files": files}
    write_json(marker_path(folder, chunk), {**marker, "digest": digest_of(marker)})


class _Store:
    """A zarr group in the scratch folder, of which one chunk at a time is written and moved away."""

    def __init__(self, folder: Path, chunk_samples: int, samples: int):
        zarr = extras.load("zarr", "a corpus")
        self.folder, self.chunk_samples, self.samples = folder / STORE, chunk_samples, samples
        self.group = zarr.open_group(self.folder, mode="w", zarr_format=3)
        self.arrays: dict[str, Any] = {}

    def write(self, chunk: int, arrays: dict[str, np.ndarray]) -> list[str]:
        """Write a chunk of every array; names of its files, with the metadata for chunk 0."""
        start = chunk * self.chunk_samples
        names = [f"{STORE}/zarr.json"] if chunk == 0 else []
        for name, values in arrays.items():
            if name not in self.arrays:
                self.arrays[name] = self._create(name, values)
            self.arrays[name][start : start + len(values)] = values
            names += [f"{STORE}/{name}/zarr.json"] if chunk == 0 else []
            names.append(f"{STORE}/{name}/" + ".".join(["c", str(chunk), *["0"] * (values.ndim - 1)]))
        return names

    def _create(self, name: str, values: np.ndarray) -> Any:
        from zarr.codecs import Crc32cCodec, ZstdCodec

        return self.group.create_array(
            name,
            shape=(self.samples, *values.shape[1:]),
            chunks=(self.chunk_samples, *values.shape[1:]),
            dtype=values.dtype,
            compressors=[ZstdCodec(level=1), Crc32cCodec()],
            fill_value=FILL_VALUES.get(name, 0),
            chunk_key_encoding={"name": "default", "separator": "."},
        )


def _is_stale(folder: Path, plan: Plan, code: str) -> bool:
    """Whether a chunk was made with other settings or by other code."""
    markers = (read_json(path) for path in folder.glob("chunk-*.json"))
    return any(m is not None and (m.get("plan"), m.get("code")) != (plan.digest, code) for m in markers)


def _clear(folder: Path) -> None:
    """Remove all chunks, markers first: what is left behind by a kill has none."""
    for path in [*folder.glob("chunk-*.json"), *folder.glob("records-*.jsonl")]:
        path.unlink()
    shutil.rmtree(folder / STORE, ignore_errors=True)
