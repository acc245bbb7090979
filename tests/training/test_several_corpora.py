"""Training on several corpora together, and on samples without phases."""

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.io.corpus.read import open_corpus
from cdipipe.io.corpus.several import join_corpora, plans_of
from cdipipe.networks.cdi_nn_3d.settings import CdiNn3dSettings
from cdipipe.training.batches import CorpusBatches, split_corpus
from cdipipe.training.phases import check_phases, flat_correlation


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Volumes with strong phases, and some with none."""
    from cdipipe.cli.main import run

    home = tmp_path_factory.mktemp("corpora")
    for name, span, count in (("strong", 6, 20), ("flat", 0, 8)):
        call = ["corpus", "polygons", "-o", home / name, "--count", count, "--shards", 2, "--chunk", 4]
        for pair in ("size=16", "dimensions=3", "photons=0", f"phase_range_rad={span}"):
            call += ["--set", pair]
        assert run(list(map(str, call))) == 0
    return home / "strong", home / "flat"


def opened(folders, shares=()):
    return join_corpora([open_corpus(folder) for folder in folders], shares)


def test_samples_of_all_are_numbered_on_and_read_as_they_are(folders):
    both = opened(folders)
    first, second = (open_corpus(folder) for folder in folders)
    assert both.plan.count == 28 and [plan.count for plan in plans_of(both)] == [20, 8]
    indices = [i for chunk in both.chunks for i in both.chunk_indices(*chunk)]
    assert indices == list(range(28))
    read = np.concatenate([both.read_chunk(*chunk, ["object"])["object"] for chunk in both.chunks])
    alone = [c.read_chunk(*chunk, ["object"])["object"] for c in (first, second) for chunk in c.chunks]
    assert np.array_equal(read, np.concatenate(alone))
    assert both.card["digest"] != first.card["digest"] and opened(folders[:1]).plan == first.plan


def test_shares_decide_how_many_of_each_and_each_is_validated(folders):
    both = opened(folders, (0.75, 0.25))
    assert both.parts == [range(20), range(20, 26)]
    training, validation = split_corpus(both, 0.25)
    assert list(validation) == [15, 16, 17, 18, 19, 24, 25]
    settings = CdiNn3dSettings(batch_size=4, shares=(0.75, 0.25))
    batches = CorpusBatches(both, ("object",), training, settings, 0, 1)
    seen = [int(i) for batch in batches.dataset for i in batch["index"]]
    assert sorted(seen) == sorted(training)
    mixed = [len({int(i) >= 20 for i in batch["index"]}) for batch in batches.read(0)]
    assert max(mixed) == 2


@pytest.mark.parametrize(
    "shares, message", [((0.5, 0.3, 0.2), "one for each of 2"), ((0.999, 0.001), "leave 0 samples")]
)
def test_impossible_shares(folders, shares, message):
    with pytest.raises(InputError, match=message):
        opened(folders, shares)
    with pytest.raises(ValueError, match="sum up to 1"):
        CdiNn3dSettings(shares=(0.5, 0.2))


def test_samples_without_phases_are_refused_unless_asked_for(folders, cli, tmp_path):
    strong, flat = (open_corpus(folder) for folder in folders)
    assert flat_correlation(flat) == pytest.approx(1) and flat_correlation(strong) < 0.85
    check_phases(strong, CdiNn3dSettings())
    settings = ("--set", "network.size=16", "--set", "network.widths=[2]", "--set", "network.corrector=[2]")
    settings += ("--set", "epochs=1", "--set", "batch_size=2")
    refused = cli("train", "cdi_nn_3d", "--corpus", folders[1], "-o", tmp_path / "r", *settings)
    assert "no phases to learn" in refused.complaint and "flat_phases=true" in refused.complaint
    assert not (tmp_path / "r").exists()
    together = ("--corpus", folders[0], "--corpus", folders[1], "--set", "shares=[0.75,0.25]")
    assert cli("train", "cdi_nn_3d", *together, "-o", tmp_path / "r", *settings).code == 0
    asked = (*settings, "--set", "flat_phases=true")
    assert cli("train", "cdi_nn_3d", "--corpus", folders[1], "-o", tmp_path / "f", *asked).code == 0
