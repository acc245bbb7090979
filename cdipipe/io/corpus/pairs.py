"""Samples of the user's own, patterns and the objects behind them in files, read like a corpus.

    intensity.npy object.npy              (N, H, W) or (N, D, H, W) each
    data.h5::/intensity data.h5::/object  datasets of HDF5 or CXI files
    M.cxi T.cxi                           several shots and their truth, as ``cdipipe simulate`` writes them

Every sample is looked at once before a training begins, see ``pair_checks``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.inputs import check_readable
from cdipipe.io.corpus import pair_checks
from cdipipe.io.corpus.plan import Plan, check_arrays, digest_of, samples_per_chunk
from cdipipe.io.hdf5 import faults_are_input_errors, open_source
from cdipipe.io.importing.readers import reader_of
from cdipipe.optics.grid import embed
from cdipipe.provenance import file_sha256

KIND = "pairs"


@dataclass(frozen=True)
class Pairs:
    """Patterns and objects, in an order that is mixed once so that the validation's share is like the rest.

    Parameters
    ----------
    folder : what messages call them
    plan : kind ``pairs``; ``parameters`` has what networks ask of a corpus, see :func:`pair_checks.look_through`
    card : ``arrays`` and ``digest``
    """

    folder: str
    plan: Plan
    card: dict[str, Any]
    intensity: Any
    objects: Any
    measured: np.ndarray | None = None
    keep_open: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False, compare=False)

    scene: None = None
    """of which fresh samples could be drawn: there is none"""

    @cached_property
    def chunks(self) -> list[tuple[int, int]]:
        """(0, chunk) of every chunk, in the order of the samples."""
        return [(0, chunk) for chunk in range(len(self.plan.chunk_ranges(0)))]

    def chunk_indices(self, shard: int, chunk: int) -> range:
        """Global indices of the samples of a chunk."""
        return self.plan.chunk_ranges(shard)[chunk]

    @cached_property
    def order(self) -> np.ndarray:
        """Place in the files of every sample."""
        return np.random.default_rng(0).permutation(self.plan.count)

    def read_chunk(self, shard: int, chunk: int, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Arrays (samples of the chunk, ...) by name: ``intensity``, ``object``, ``support``, ``measured``.

        Raises
        ------
        InputError   an array does not exist, or a file is damaged
        """
        check_arrays(names, self.card, self.folder)
        indices = self.chunk_indices(shard, chunk)
        wanted = self.order[indices.start : indices.stop]
        with faults_are_input_errors(self.folder, "cannot be read"):
            found = self._read(wanted, {"object", "support"} & set(names), {"intensity", "measured"} & set(names))
        return {name: found[name] for name in names}

    def _read(self, wanted: np.ndarray, of_objects: set, of_patterns: set) -> dict[str, np.ndarray]:
        found: dict[str, np.ndarray] = {}
        if of_objects:
            objects = _fill_up(_rows(self.objects, wanted), self.intensity.shape[1:])
            found |= {"object": objects.astype(np.complex64), "support": objects != 0}
        if of_patterns:
            counts = _rows(self.intensity, wanted).astype(np.float32)
            seen = np.isfinite(counts) & (counts >= 0)
            if self.measured is not None:
                seen &= self.measured if self.measured.ndim < counts.ndim else self.measured[wanted]
            found |= {"intensity": np.where(seen, counts, np.float32(0)), "measured": seen}
        return found


def open_pairs(intensity: str, objects: str, mask: str | None = None) -> Pairs:
    """Patterns and objects to learn from.

    Parameters
    ----------
    intensity, objects : FILE or FILE::KEY
        (N, *grid) real, on any scale, zero frequency at ``H // 2``; and (N, *grid) or smaller, real or complex, centred
        there. CXI files without KEY are a measurement and a truth of this package.
    mask : FILE or FILE::KEY, (*grid) or (N, *grid), nonzero = measured. Pixels that are no number or negative are
        unmeasured in any case.

    Raises
    ------
    InputError   files that cannot be read, shapes that do not fit, values that mean nothing
    """
    label, stack = f"{intensity} and {objects}", contextlib.ExitStack()
    patterns, measured = _open(intensity, stack, "measurement")
    targets, _ = _open(objects, stack, "truth")
    if mask is not None:
        given = np.asarray(_open(mask, stack, "mask")[0][()]) != 0
        measured = given if measured is None else measured & given
    pair_checks.check_shapes(label, patterns, targets, measured)
    digests = {
        role: _digest(name) for role, name in (("intensity", intensity), ("object", objects), ("mask", mask)) if name
    }
    chunk = min(samples_per_chunk(16 * int(np.prod(patterns.shape[1:]))), max(1, len(patterns) // 16))
    plan = Plan(KIND, {}, 0, len(patterns), 1, chunk, digests)
    card = {"arrays": dict.fromkeys(("intensity", "object", "support", "measured")), "digest": digest_of(digests)}
    pairs = Pairs(label, plan, card, patterns, targets, measured, stack)
    plan.parameters.update(pair_checks.look_through(pairs))
    pair_checks.compare(pairs)
    return pairs


def _digest(name: str) -> str:
    """What identifies the values of FILE::KEY, wherever the file lies."""
    file, _, key = name.partition("::")
    return f"{file_sha256(Path(file).expanduser())}::{key}"


def _open(name: str, stack: contextlib.ExitStack, role: str) -> tuple[Any, np.ndarray | None]:
    """An array that is read piece by piece, and the mask that its file has."""
    file, _, key = name.partition("::")
    path = Path(file).expanduser()
    kind = reader_of(path).name
    if kind == "npy":
        check_readable(path)
        with faults_are_input_errors(path, "not an npy file, or damaged"):
            return np.load(path, mmap_mode="r", allow_pickle=False), None
    if kind not in ("hdf5", "cxi"):
        raise InputError(f"{name}: pairs are read from npy, HDF5 and CXI files")
    if kind == "cxi" and not key and role != "mask":
        return _open_own(path, role)
    source = stack.enter_context(open_source(path))
    return _dataset(source, name, key), None


def _dataset(source, name: str, key: str):
    """The dataset of that name, or the only one that could be meant."""
    if key:
        found = source.dataset(key)
        if found is None:
            raise InputError(f"{name}: no dataset '{key}' inside; there is {', '.join(_listed(source)) or 'none'}")
        return _resolved(source, found)
    candidates = _listed(source)
    if len(candidates) != 1:
        raise InputError(f"{name}: which dataset? write FILE::KEY; there is {', '.join(candidates) or 'none'}")
    return _resolved(source, source.dataset(candidates[0]))


def _resolved(source, dataset):
    """The dataset, once all that it is made of was found: HDF5 itself crashes on virtual ones that lead in a circle."""
    _ = source.open(dataset, source.where(dataset.name)).complete
    return dataset


def _listed(source) -> list[str]:
    import h5py

    names: list[str] = []

    def visit(name: str, node: object) -> None:
        if isinstance(node, h5py.Dataset) and node.dtype.kind in "biufc" and node.ndim > 1:
            names.append("/" + name)

    source.file.visititems(visit)
    return names


def _open_own(path: Path, kind: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Patterns and mask of a measurement, or objects of a truth, of several shots."""
    from cdipipe.io.cxi import read_measurement, read_truth

    found = read_measurement(path) if kind == "measurement" else read_truth(path)
    if found.stack != "shots":
        raise InputError(f"{path}: holds a {found.stack}; a network learns from many shots (--set count=N)")
    return (found.intensity, found.measured) if kind == "measurement" else (found.object, None)


def _rows(array, wanted: np.ndarray) -> np.ndarray:
    """Some entries of an array on disk, which wants them in rising order."""
    order = np.argsort(wanted)
    found = np.asarray(array[wanted[order]])
    return found[np.argsort(order)]


def _fill_up(objects: np.ndarray, grid: tuple[int, ...]) -> np.ndarray:
    """Centred objects in zeros of the pattern's grid, centre on centre."""
    if objects.shape[1:] == grid:
        return objects
    return embed(objects, grid)
