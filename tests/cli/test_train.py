"""``cdipipe train`` as a user calls it: what it says when something does not fit."""

import pytest


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
    assert "trained on another corpus" in train(tmp_path / "run", "--resume", corpus="2").complaint


def test_unknown_names_and_values(train, tmp_path):
    assert "unknown network 'cdi_n' (did you mean 'cdi_nn'?)" in train(tmp_path / "r", network="cdi_n").complaint
    assert "did you mean 'learning_rate'?" in train(tmp_path / "r", "--set", "learnin_rate=1").complaint
    assert "cdi_nn.network.widths" in train(tmp_path / "r", "--set", "network.widths=wide").complaint
    assert not (tmp_path / "r").exists()


def test_places_that_do_not_fit(train, tmp_path):
    assert "holds no corpus" in train(tmp_path / "r", corpus=tmp_path).complaint
    (tmp_path / "file").write_text("x")
    assert "is no folder" in train(tmp_path / "file").complaint
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
