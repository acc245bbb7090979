"""The loader of corpora: every sample once, the same order for the same numbers, whole chunks."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from cdipipe.errors import InputError
from cdipipe.io.corpus.read import Corpus, open_corpus
from cdipipe.training.data import CorpusDataset


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    from cdipipe.cli.main import run

    folder = tmp_path_factory.mktemp("corpus") / "c"
    options = ["--count", "70", "--shards", "3", "--chunk", "6", "--set", "size=16", "--set", "photons=1e3"]
    assert run(["corpus", "polygons", "-o", str(folder), *options]) == 0
    return open_corpus(folder)


def order(dataset) -> list[int]:
    return [int(i) for batch in dataset for i in batch["index"]]


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_every_sample_once_per_epoch_over_all_ranks(corpus, world_size):
    parts = [order(CorpusDataset(corpus, 4, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert sorted(itertools.chain(*parts)) == list(range(70))
    assert max(map(len, parts)) - min(map(len, parts)) <= 2 * 6


def test_order_is_fixed_by_seed_epoch_and_rank(corpus):
    dataset = CorpusDataset(corpus, 4, seed=3)
    first = order(dataset)
    assert first == order(CorpusDataset(corpus, 4, seed=3)) == order(dataset)
    assert first != order(CorpusDataset(corpus, 4, seed=4))
    dataset.set_epoch(1)
    second = order(dataset)
    assert first != second
    assert order(CorpusDataset(corpus, 4, shuffle=False)) == list(range(70))


def test_samples_are_mixed_across_and_within_chunks(corpus):
    found = order(CorpusDataset(corpus, 4, window_chunks=4))
    assert np.mean(np.diff(found) == 1) < 0.1
    assert len({i // 6 for i in found[:8]}) > 2


def test_batches_hold_what_the_corpus_holds(corpus):
    whole = {name: [] for name in ("intensity", "object")}
    for chunk in corpus.chunks:
        for name, array in corpus.read_chunk(*chunk, list(whole)).items():
            whole[name].append(array)
    whole = {name: np.concatenate(parts) for name, parts in whole.items()}
    sizes = []
    for batch in CorpusDataset(corpus, 8, arrays=("intensity", "object")):
        sizes.append(len(batch["index"]))
        assert batch["intensity"].dtype == torch.float32 and batch["object"].dtype == torch.complex64
        for name, array in whole.items():
            np.testing.assert_array_equal(batch[name].numpy(), array[batch["index"].numpy()])
    assert sizes == [8] * 8 + [6]


def test_each_chunk_is_read_once(corpus, monkeypatch):
    reads = Counter()
    read = Corpus.read_chunk
    monkeypatch.setattr(Corpus, "read_chunk", lambda self, *chunk: reads.update([chunk[:2]]) or read(self, *chunk))
    order(CorpusDataset(corpus, 5, rank=0, world_size=2))
    order(CorpusDataset(corpus, 5, rank=1, world_size=2))
    assert set(reads) == set(corpus.chunks)
    assert set(reads.values()) == {1}


def test_workers_of_a_loader_share_the_samples(corpus):
    loader = DataLoader(CorpusDataset(corpus, 4), batch_size=None, num_workers=2)
    assert sorted(order(loader)) == list(range(70))


def test_a_split_gives_its_samples_only(corpus):
    assert sorted(order(CorpusDataset(corpus, 4, samples=range(10, 33)))) == list(range(10, 33))


def test_impossible_requests_are_named(corpus, tmp_path):
    with pytest.raises(InputError, match="rank 2"):
        CorpusDataset(corpus, rank=2, world_size=2)
    with pytest.raises(InputError, match="no array 'density'; it has intensity"):
        CorpusDataset(corpus, arrays=("density",))
    with pytest.raises(InputError, match="no corpus"):
        CorpusDataset(tmp_path)
