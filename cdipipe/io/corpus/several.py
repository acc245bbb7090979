"""Several corpora learned from together, such as strained and strain-free crystals: read like one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.io.corpus.plan import Plan, digest_of
from cdipipe.io.corpus.read import Corpus


@dataclass(frozen=True)
class SeveralCorpora:
    """Corpora one after the other; samples and shards are numbered on.

    Parameters
    ----------
    corpora : of arrays of the same shapes
    used : how many samples of each are learned from, its first ones
    """

    corpora: tuple[Corpus, ...]
    used: tuple[int, ...]

    scene: None = None
    """of which fresh samples could be drawn: there is no one"""

    @property
    def folder(self) -> str:
        """What messages call them."""
        return " and ".join(str(corpus.folder) for corpus in self.corpora)

    @cached_property
    def plan(self) -> Plan:
        """Their kinds, and the number of all samples."""
        kinds = list(dict.fromkeys(corpus.plan.kind for corpus in self.corpora))
        plans = [corpus.plan for corpus in self.corpora]
        return Plan(
            " and ".join(kinds),
            {},
            0,
            sum(plan.count for plan in plans),
            sum(plan.shards for plan in plans),
            max(plan.chunk_samples for plan in plans),
        )

    @cached_property
    def card(self) -> dict[str, Any]:
        """Arrays that all have, and what identifies all samples that are used."""
        arrays = dict(self.corpora[0].card["arrays"])
        for corpus in self.corpora[1:]:
            arrays = {name: told for name, told in arrays.items() if corpus.card["arrays"].get(name) == told}
        digests = [corpus.card["digest"] for corpus in self.corpora]
        return {"arrays": arrays, "digest": digest_of([digests, list(self.used)])}

    @property
    def parts(self) -> list[range]:
        """Global numbers of the samples that are used, corpus by corpus."""
        return [range(start, start + used) for start, used in zip(self._first_samples, self.used, strict=True)]

    @cached_property
    def _first_samples(self) -> list[int]:
        return [0, *np.cumsum([corpus.plan.count for corpus in self.corpora]).tolist()][:-1]

    @cached_property
    def _first_shards(self) -> list[int]:
        return [0, *np.cumsum([corpus.plan.shards for corpus in self.corpora]).tolist()][:-1]

    @cached_property
    def chunks(self) -> list[tuple[int, int]]:
        """(shard, chunk) of every chunk, in the order of the samples."""
        pairs = zip(self.corpora, self._first_shards, strict=True)
        return [(first + shard, chunk) for corpus, first in pairs for shard, chunk in corpus.chunks]

    def _owner(self, shard: int) -> int:
        return max(i for i, first in enumerate(self._first_shards) if first <= shard)

    def chunk_indices(self, shard: int, chunk: int) -> range:
        """Global numbers of the samples of a chunk."""
        owner = self._owner(shard)
        found = self.corpora[owner].chunk_indices(shard - self._first_shards[owner], chunk)
        return range(found.start + self._first_samples[owner], found.stop + self._first_samples[owner])

    def read_chunk(self, shard: int, chunk: int, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Arrays (samples of the chunk, ...) by name."""
        owner = self._owner(shard)
        return self.corpora[owner].read_chunk(shard - self._first_shards[owner], chunk, names)


def join_corpora(corpora: Sequence[Corpus], shares: Sequence[float] = ()) -> Corpus | SeveralCorpora:
    """One corpus itself, or several to learn from together.

    Parameters
    ----------
    shares : of the samples, one for each corpus; as many samples are used as these allow. None: all of all.

    Raises
    ------
    InputError   shares do not fit, or a share leaves a corpus without samples
    """
    counts = [corpus.plan.count for corpus in corpora]
    if shares and len(shares) != len(corpora):
        raise InputError(f"shares {list(shares)}: expected one for each of {len(corpora)} corpora")
    if len(corpora) == 1:
        return corpora[0]
    used = counts
    if shares:
        total = min(count / share for count, share in zip(counts, shares, strict=True))
        used = [int(total * share + 1e-9) for share in shares]
        if min(used) < 2:
            raise InputError(f"shares {list(shares)}: leave {min(used)} samples of a corpus; make it larger")
    return SeveralCorpora(tuple(corpora), tuple(used))


def plans_of(samples) -> list[Plan]:
    """The plan of a corpus or of pairs; those of several corpora."""
    return [corpus.plan for corpus in samples.corpora] if isinstance(samples, SeveralCorpora) else [samples.plan]
