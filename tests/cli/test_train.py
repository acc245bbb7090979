"""``cdipipe train`` as a user calls it: what it says when something does not fit."""

import numpy as np
import pytest

from cdipipe.networks.checkpoint import read_checkpoint
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Two corpora of 16 polygons with other seeds."""
    from cdipipe.cli.main import run

    folder = tmp_path_factory.mktemp("corpora")
    for seed in ("1", "2"):
        options = ["--count", "16", "--seed", seed, "--set", "size=32", "--set", "photons=0"]
        assert run(["corpus", "polygons", "-o", str(folder / seed), *options]) == 0
    return folder


@pytest.fixture
def train(cli, corpora):
    def call(out, *options, network="cdi_nn", corpus="1"):
        where = corpora / corpus if isinstance(corpus, str) else corpus
        small = ("--set", "network.widths=[4]", "--set", "batch_size=4", "--set", "epochs=1")
        return cli("train", network, "--corpus", where, "-o", out, "--device", "cpu", *small, *options)

    return call


def test_a_training_and_its_continuation(train, tmp_path):
    first = train(tmp_path / "run")
    assert first.code == 0 and "run/best.pt: cdi_nn, best loss" in first.out
    assert "holds a training; --resume goes on with it" in train(tmp_path / "run").complaint
    more = train(tmp_path / "run", "--resume", "--set", "epochs=3")
    assert more.code == 0 and (tmp_path / "run/curve.tsv").read_text().count("\n") == 4
    other = train(tmp_path / "run", "--resume", "--set", "learning_rate=0.5")
    assert "was begun with learning_rate: 0.001; got 0.5; --resume may change epochs only" in other.complaint
    assert "trained on other samples" in train(tmp_path / "run", "--resume", corpus="2").complaint


def test_unknown_names_and_values(train, tmp_path):
    assert "unknown network 'cdi_n' (did you mean 'cdi_nn'?)" in train(tmp_path / "r", network="cdi_n").complaint
    assert "did you mean 'learning_rate'?" in train(tmp_path / "r", "--set", "learnin_rate=1").complaint
    assert "cdi_nn.network.widths" in train(tmp_path / "r", "--set", "network.widths=wide").complaint
    assert not (tmp_path / "r").exists()


def test_places_that_do_not_fit(train, tmp_path):
    assert "holds no corpus" in train(tmp_path / "r", corpus=tmp_path).complaint
    (tmp_path / "file").write_text("x")
    assert "not a folder" in train(tmp_path / "file").complaint
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.pt").write_text("x")
    assert "not a checkpoint, or cut short" in train(tmp_path / "run", "--resume").complaint
    assert "planes of size 32" in train(tmp_path / "r", network="cdi_nn_3d").complaint


def test_rebuild_replaces_what_does_not_fit(train, tmp_path):
    assert train(tmp_path / "run").code == 0
    rebuild = ("--resume", "--rebuild")
    before = (tmp_path / "run" / "last.pt").read_bytes()
    assert train(tmp_path / "run", *rebuild).code == 0
    assert (tmp_path / "run" / "curve.tsv").read_text().count("\n") == 2
    assert train(tmp_path / "run", *rebuild, "--set", "learning_rate=0.01", corpus="2").code == 0
    assert (tmp_path / "run" / "last.pt").read_bytes() != before
    (tmp_path / "run" / "last.pt").write_bytes(before[:1000])
    assert train(tmp_path / "run", *rebuild).code == 0
    assert (tmp_path / "run" / "curve.tsv").read_text().count("\n") == 2


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Patterns and objects of 16 polygons as files of one's own."""
    scene = get_scene("polygons")
    measurement, truth = simulate(scene, scene.parameters(size=32, count=16, photons=1e5), seed=1)
    folder = tmp_path_factory.mktemp("own")
    np.save(folder / "intensity.npy", measurement.intensity)
    np.save(folder / "object.npy", truth.object)
    return folder


def test_pairs_of_ones_own_train_a_network_that_reconstructs(cli, own, tmp_path):
    files = (own / "intensity.npy", own / "object.npy")
    small = ("--device", "cpu", "--set", "network.widths=[4]", "--set", "batch_size=4", "--set", "epochs=2")
    base = ("train", "cdi_nn", "--pairs", *files, "-o", tmp_path / "run", "--set", "photons=[1e4, 1e5]", *small)
    assert cli(*base).code == 0
    found = read_checkpoint(tmp_path / "run/best.pt", "cdi_nn")
    assert found.corpus["kind"] == "pairs" and found.corpus["count"] == 16
    rows = (tmp_path / "run/curve.tsv").read_text().splitlines()
    assert len(rows) == 3 and "validation_loss" in rows[0]
    assert cli(*base, "--resume", "--set", "epochs=3").code == 0
    assert cli("import", files[0], "--stack", "shots", "--no-centre", "-o", tmp_path / "M.cxi").code == 0
    best = ("--checkpoint", tmp_path / "run/best.pt")
    assert cli("reconstruct", tmp_path / "M.cxi", "-m", "cdi_nn", *best, "-o", tmp_path / "R.cxi").code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("cdi_nn",), "give --corpus FOLDER or --pairs INTENSITY OBJECT, one of them"),
        (("cdi_nn", "--corpus", "x", "--pairs", "i", "o"), "one of them"),
        (("cdi_nn", "--corpus", "x", "--mask", "m"), "--mask: belongs to --pairs"),
        (("cdi_nn", "--pairs", "intensity.npy", "none.npy"), "none.npy: No such file"),
        (("cdi_nn_3d", "--pairs", "intensity.npy", "object.npy"), "planes of size 32"),
        (("dpr", "--pairs", "intensity.npy", "object.npy", "--set", "network.size=32"), "have phases over"),
        (("cdi_nn", "--pairs", "intensity.npy", "object.npy", "--set", "samples=fresh"), "are drawn of a scene"),
    ],
    ids=str,
)
def test_pairs_that_cannot_be_learned_from(cli, own, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(own)
    assert said in cli("train", *arguments, "-o", tmp_path / "run", "--device", "cpu").complaint
