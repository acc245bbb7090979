"""The denoiser: what it learns from, and that ``cdipipe train`` makes one that methods use."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from cdipipe.errors import InputError
from cdipipe.io.corpus.plan import Plan
from cdipipe.networks import denoiser
from cdipipe.networks.checkpoint import read_checkpoint
from cdipipe.networks.denoiser.loss import log_error
from cdipipe.networks.denoiser.settings import DenoiserSettings
from cdipipe.settings import validate


def arrays(count=3):
    values = np.random.default_rng(0).uniform(1, 5, (count, 16, 16))
    return {"object": torch.from_numpy(values.astype(np.complex64))}


def test_noise_of_the_level_that_is_told_is_drawn_anew():
    settings = DenoiserSettings(sigma=(0.1, 0.1))
    batches = [denoiser.prepare(arrays(), settings, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    for batch in batches:
        assert batch["clean"].shape == batch["inputs"].shape == (3, 1, 16, 16)
        assert bool((batch["clean"].amax((1, 2, 3)) == 1).all()) and torch.allclose(batch["sigma"], torch.tensor(0.1))
        assert float((batch["inputs"] - batch["clean"]).std()) == pytest.approx(0.1, rel=0.1)
    assert torch.equal(batches[0]["inputs"], batches[1]["inputs"])
    assert not torch.equal(batches[0]["inputs"], batches[2]["inputs"])


def test_validation_sees_pictures_as_they_are_and_training_turns_them():
    with torch.no_grad():
        kept = [denoiser.prepare(arrays(), DenoiserSettings(), torch.Generator().manual_seed(s)) for s in range(4)]
    assert all(torch.equal(kept[0]["clean"], batch["clean"]) for batch in kept)
    seen = [denoiser.prepare(arrays(), DenoiserSettings(), torch.Generator().manual_seed(s)) for s in range(8)]
    assert len({float(batch["clean"][0, 0, 0, 1]) for batch in seen}) > 2


def test_the_loss_is_minus_the_psnr():
    clean = torch.zeros(2, 1, 4, 4)
    found = clean + torch.tensor([0.1, 0.001]).view(2, 1, 1, 1)
    assert float(log_error(found, clean)) == pytest.approx((-20 - 60) / 2, abs=1e-3)
    assert math.isfinite(float(log_error(clean, clean)))


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"sigma": [0.5, 0.1]}, "expected a range"), ({"photons": [1, 2]}, "sees pictures, not patterns")],
)
def test_settings_that_mean_nothing(settings, said):
    with pytest.raises(InputError, match=said):
        validate(DenoiserSettings, settings, "denoiser")


@pytest.mark.parametrize("parameters", [{"size": 32, "dimensions": 3}, {"size": 18}], ids=str)
def test_corpora_that_do_not_fit(parameters):
    with pytest.raises(InputError, match=r"denoiser: the corpus holds polygons of size .* expected 2 dimensions"):
        denoiser.check_corpus(Plan("polygons", parameters, 0, 8, 1, 8), DenoiserSettings())


def test_a_corpus_of_pictures_trains_one_that_a_method_uses(cli, tmp_path):
    size = ("--set", "size=32", "--set", "photons=0", "--set", "images=textures")
    assert cli("corpus", "pictures", "-o", tmp_path / "corpus", "--count", "96", *size).code == 0
    small = ("--set", "network.width=4", "--set", "network.blocks=[1, 1]", "--set", "epochs=8", "--set", "average=0.9")
    assert cli("train", "denoiser", "--corpus", tmp_path / "corpus", "-o", tmp_path / "run", *small).code == 0
    names, *rows = [line.split("\t") for line in (tmp_path / "run/curve.tsv").read_text().splitlines()]
    psnr = [float(row[names.index("validation_psnr_db")]) for row in rows]
    assert psnr[-1] > psnr[0] + 1
    best = tmp_path / "run/best.pt"
    assert read_checkpoint(best, "denoiser").corpus["kind"] == "pictures"
    files = {name: tmp_path / f"{name}.cxi" for name in ("M", "package", "own")}
    assert cli("simulate", "static_region", "-o", files["M"], "--set", "size=48").code == 0
    method = ("reconstruct", files["M"], "-m", "reference_lsq", "--set", "denoiser=learned")
    assert cli(*method, "-o", files["package"]).code == 0
    own = cli(*method, "--checkpoint", best, "-o", files["own"])
    assert own.code == 0 and files["own"].read_bytes() != files["package"].read_bytes()
    assert "takes no patterns" in cli("plot", best, "--measurement", files["M"], "-o", tmp_path / "a.png").complaint
