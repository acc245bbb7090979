"""Corpora as training data: whole chunks are read, and samples are shuffled across and within a window of chunks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import IterableDataset, get_worker_info

from cdipipe.errors import InputError
from cdipipe.io.corpus.pairs import Pairs
from cdipipe.io.corpus.read import Corpus, open_corpus

DEFAULT_ARRAYS = ("intensity", "object", "support", "measured")


class CorpusDataset(IterableDataset):
    """Batches of a corpus in an order fixed by (seed, epoch, rank, world size).

    All chunks are shuffled anew each epoch; the samples of a few chunks at a time (the window) are mixed. Over all
    ranks each sample comes exactly once per epoch: whole chunks are dealt out, so that ranks differ by at most one
    chunk in what they get, and every chunk is read once. Use it with ``DataLoader(dataset, batch_size=None)``; workers
    of a loader share the chunks of their rank.

    Parameters
    ----------
    corpus : folder, Corpus or Pairs
    batch_size : samples per batch; the last one of an epoch, rank and worker may be smaller
    arrays : names of the arrays to read
    seed : of the order
    rank, world_size : which part of the corpus this process gets
    window_chunks : chunks whose samples are mixed; they are held in memory together
    shuffle : False: the order of the corpus
    samples : global indices to use, such as a training split; None: all. Only chunks that hold one are read.

    Raises
    ------
    InputError   the corpus is not finished or has no such array; impossible rank, batch or window
    """

    def __init__(
        self,
        corpus: str | Path | Corpus | Pairs,
        batch_size: int = 64,
        arrays: Sequence[str] = DEFAULT_ARRAYS,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        window_chunks: int = 8,
        shuffle: bool = True,
        samples: Sequence[int] | None = None,
    ):
        super().__init__()
        self.corpus = open_corpus(corpus) if isinstance(corpus, (str, Path)) else corpus
        if min(batch_size, window_chunks, world_size) < 1 or not 0 <= rank < world_size:
            raise InputError(
                f"corpus loader: batch {batch_size}, window {window_chunks}, world size {world_size} must be at least "
                f"1, rank {rank} between 0 and world size - 1"
            )
        for name in arrays:
            if name not in self.corpus.card["arrays"]:
                known = ", ".join(self.corpus.card["arrays"])
                raise InputError(f"{self.corpus.folder}: has no array '{name}'; it has {known}")
        self.batch_size, self.arrays = batch_size, tuple(arrays)
        self.window_chunks, self.shuffle = window_chunks, shuffle
        self.seed, self.rank, self.world_size, self.epoch = seed, rank, world_size, 0
        self.samples = range(self.corpus.plan.count) if samples is None else samples
        used = set(self.samples)
        self.chunks = [c for c in self.corpus.chunks if not used.isdisjoint(self.corpus.chunk_indices(*c))]
        self._used = used if len(used) < self.corpus.plan.count else None

    def set_epoch(self, epoch: int) -> None:
        """Choose the order: each epoch has its own."""
        self.epoch = epoch

    def chunks_of(self, rank: int, worker: int = 0, workers: int = 1) -> list[tuple[int, int]]:
        """(shard, chunk) that a worker of a rank reads in this epoch, in order."""
        order = np.arange(len(self.chunks))
        if self.shuffle:
            order = self._rng(0).permutation(order)
        return [self.chunks[i] for i in order[rank :: self.world_size][worker::workers]]

    def _rng(self, *place: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.epoch, *place])

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        """Mappings name -> (batch, ...) tensor, with the global numbers of the samples under ``index``."""
        info = get_worker_info()
        worker, workers = (0, 1) if info is None else (info.id, info.num_workers)
        rng = self._rng(1, self.rank, worker)
        mine = iter(self.chunks_of(self.rank, worker, workers))
        rest: dict[str, np.ndarray] | None = None
        while window := list(itertools.islice(mine, self.window_chunks)):
            pool = self._read(window, rng)
            pool = pool if rest is None else {name: np.concatenate([rest[name], pool[name]]) for name in pool}
            whole = len(pool["index"]) // self.batch_size * self.batch_size
            for start in range(0, whole, self.batch_size):
                yield self._tensors(pool, slice(start, start + self.batch_size))
            rest = {name: array[whole:] for name, array in pool.items()}
        if rest is not None and len(rest["index"]):
            yield self._tensors(rest, slice(None))

    def _read(self, window: list[tuple[int, int]], rng: np.random.Generator) -> dict[str, np.ndarray]:
        """All samples of some chunks, mixed."""
        indices = [np.asarray(self.corpus.chunk_indices(*chunk)) for chunk in window]
        blocks = [self.corpus.read_chunk(*chunk, self.arrays) for chunk in window]
        index = np.concatenate(indices)
        order = np.arange(len(index))
        if self._used is not None:
            order = order[[int(i) in self._used for i in index]]
        if self.shuffle:
            order = rng.permutation(order)
        pool = {"index": index[order]}
        for name in self.arrays:
            pool[name] = np.concatenate([block.pop(name) for block in blocks])[order]
        return pool

    @staticmethod
    def _tensors(pool: dict[str, np.ndarray], part: slice) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(array[part]) for name, array in pool.items()}
