"""Where batches come from: a corpus read again and again, or samples drawn anew in each epoch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from cdipipe.errors import InputError
from cdipipe.io.corpus.read import Corpus
from cdipipe.networks.training_settings import TrainingSettings
from cdipipe.training.data import CorpusDataset

DRAWN_TOGETHER = 256
"""Samples of a scene that are drawn in one go."""


class Batches(Protocol):
    """Batches of one process, the same number in all of them."""

    def steps(self, epoch: int) -> int:
        """Batches of an epoch."""

    def read(self, epoch: int, first: int = 0) -> Iterator[dict[str, torch.Tensor]]:
        """The batches of an epoch in their order, from number ``first`` on."""


def derived_seed(*numbers: int) -> int:
    """A seed of 63 bits that depends on all the numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def split_corpus(corpus: Corpus, validation_share: float) -> tuple[Sequence[int], Sequence[int]]:
    """Global numbers of the samples for training and for validation, which are the last ones of each corpus."""
    training, validation = [], []
    for part in getattr(corpus, "parts", [range(corpus.plan.count)]):
        kept = min(max(round(len(part) * validation_share), 1 if validation_share else 0), len(part) - 1)
        training.append(part[: len(part) - kept])
        validation.append(part[len(part) - kept :])
    if len(training) == 1:
        return training[0], validation[0]
    return list(itertools.chain(*training)), list(itertools.chain(*validation))


class CorpusBatches:
    """The samples of a corpus; every epoch in another order. A last batch that is not full is left out."""

    def __init__(
        self, corpus: Corpus, arrays, samples: Sequence[int], settings: TrainingSettings, rank: int, world_size: int
    ):
        batch = min(settings.batch_size, max(len(samples) // world_size, 1))
        seed = derived_seed(settings.seed, 1)
        self.dataset = CorpusDataset(
            corpus, batch, arrays, seed=seed, rank=rank, world_size=world_size, samples=samples
        )
        used = set(samples)
        self._used = {chunk: len(used.intersection(corpus.chunk_indices(*chunk))) for chunk in self.dataset.chunks}

    def steps(self, epoch: int) -> int:
        """As many full batches as the process with the fewest samples has."""
        data = self.dataset
        data.set_epoch(epoch)
        fewest = min(sum(map(self._used.get, data.chunks_of(rank))) for rank in range(data.world_size))
        return fewest // data.batch_size or min(fewest, 1)

    def read(self, epoch: int, first: int = 0) -> Iterator[dict[str, torch.Tensor]]:
        steps = self.steps(epoch)
        for index, batch in enumerate(self.dataset):
            if index >= steps:
                return
            if index >= first:
                yield batch


class FreshBatches:
    """Samples that no one has seen before, of the scene and with the parameters of a corpus.

    Sample ``i`` of epoch ``e`` depends on the two seeds and on (e, i) alone, not on how many processes share the work.
    """

    def __init__(self, corpus: Corpus, arrays, settings: TrainingSettings, rank: int, world_size: int):
        from cdipipe.settings import merge, validate
        from cdipipe.simulation.registry import get_scene

        if corpus.scene is None:
            raise InputError(f"{corpus.folder}: samples 'fresh' are drawn of a scene; pairs of your own have none")
        plan, self.settings = corpus.plan, settings
        self.scene = get_scene(plan.kind)
        turns = max([len(values) for values in settings.vary.values()], default=1)
        self.parameters = []
        for turn in range(turns):
            chosen = {name: values[turn % len(values)] for name, values in settings.vary.items()}
            self.parameters.append(validate(self.scene.parameters, merge(plan.parameters, chosen), "vary"))
        self.arrays, self.rank, self.world_size = tuple(arrays), rank, world_size
        self.seed = derived_seed(plan.seed, settings.seed, 2)
        self.count = settings.samples_per_epoch or plan.count
        self.per_group = max(1, DRAWN_TOGETHER // settings.batch_size)

    def steps(self, epoch: int) -> int:
        return max(self.count // (self.settings.batch_size * self.world_size), 1)

    def read(self, epoch: int, first: int = 0) -> Iterator[dict[str, torch.Tensor]]:
        steps = self.steps(epoch)
        groups = range(first // self.per_group, -(-steps // self.per_group))
        loader = DataLoader(_Groups(self, epoch), batch_size=None, sampler=groups, num_workers=self.settings.workers)
        for group, drawn in zip(groups, loader, strict=True):
            start = group * self.per_group
            for index in range(max(first, start), min(steps, start + self.per_group)):
                size = self.settings.batch_size
                part = slice((index - start) * size, (index - start + 1) * size)
                yield {name: array[part] for name, array in drawn.items()}

    def draw(self, epoch: int, group: int) -> dict[str, torch.Tensor]:
        """The samples of a group of batches of this process."""
        from cdipipe.simulation.batches import draw_batch

        size = self.per_group * self.settings.batch_size
        start = epoch * 2**40 + (group * self.world_size + self.rank) * size
        parameters = self.parameters[group % len(self.parameters)]
        drawn = draw_batch(self.scene, parameters, self.seed, range(start, start + size)).arrays
        return {name: torch.from_numpy(drawn[name]) for name in self.arrays}


class _Groups(Dataset):
    """Groups of batches by their number, for a loader with processes of its own."""

    def __init__(self, batches: FreshBatches, epoch: int):
        self.batches, self.epoch = batches, epoch

    def __getitem__(self, group: int) -> dict[str, torch.Tensor]:
        return self.batches.draw(self.epoch, group)
