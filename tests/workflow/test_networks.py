"""Networks in a study: a corpus is built, a network learns from it, and a method uses what it learned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from test_workflow import snakemake

from cdipipe.errors import InputError
from cdipipe.io.cxi import read_reconstruction
from cdipipe.networks.checkpoint import read_checkpoint
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene
from cdipipe.study.config import check_config

PAIRS = {"intensity": "i.npy", "object": "o.npy"}
SMALL = {"network": {"widths": [4]}, "batch_size": 8, "epochs": 1}
STUDY = {
    "output": "out",
    "measurements": {"one": {"scene": "polygons", "set": {"size": 32, "photons": 1e5}}},
    "corpora": {"samples": {"scene": "polygons", "count": 24, "set": {"size": 32, "photons": 0}}},
    "networks": {"learned": {"network": "cdi_nn", "corpus": "samples", "set": SMALL}},
    "methods": {
        "alone": {"method": "cdi_nn", "checkpoint": "learned"},
        "chain": {"steps": [{"cdi_nn": {"checkpoint": "learned"}}, {"er": {"iterations": 5}}]},
    },
    "keep_runs": False,
}


def test_a_study_trains_and_reconstructs_with_what_it_trained(tmp_path):
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY, sort_keys=False))
    code, text = snakemake(tmp_path, path, "out/one/chain/R.cxi")
    assert code == 0, text
    trained = read_checkpoint(tmp_path / "out/learned/best.pt", "cdi_nn")
    assert trained.settings.epochs == 1 and (tmp_path / "out/learned/card.md").exists()
    result = read_reconstruction(tmp_path / "out/one/chain/R.cxi")
    assert result.method == "cdi_nn+er" and "best.pt" in result.provenance["inputs"]
    changed = STUDY | {"networks": {"learned": STUDY["networks"]["learned"] | {"set": SMALL | {"epochs": 2}}}}
    path.write_text(yaml.safe_dump(changed, sort_keys=False))
    code, text = snakemake(tmp_path, path, "-n")
    assert "train_network" in text and "reconstruct_object" in text and "build_shard" not in text


def test_a_study_trains_on_pairs_of_ones_own(tmp_path):
    scene = get_scene("polygons")
    measurement, truth = simulate(scene, scene.parameters(size=32, count=16), seed=1)
    (tmp_path / "own data").mkdir()
    np.save(tmp_path / "own data/i.npy", measurement.intensity)
    np.save(tmp_path / "own data/o.npy", truth.object)
    pairs = {"intensity": "own data/i.npy", "object": "own data/o.npy"}
    networks = {"learned": {"network": "cdi_nn", "pairs": pairs, "set": SMALL}}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({**STUDY, "corpora": {}, "networks": networks}, sort_keys=False))
    code, text = snakemake(tmp_path, path, "out/one/alone/R.cxi")
    assert code == 0, text
    assert read_checkpoint(tmp_path / "out/learned/best.pt").corpus["kind"] == "pairs"


def test_corpora_of_networks_that_nobody_uses_are_not_built():
    more = {"idle": STUDY["corpora"]["samples"], "own": STUDY["corpora"]["samples"]}
    networks = STUDY["networks"] | {"spare": STUDY["networks"]["learned"] | {"corpus": "idle"}}
    study = check_config(STUDY | {"corpora": STUDY["corpora"] | more, "networks": networks}, "study.yaml")
    assert study.trained() == ["learned"] and study.built() == ["samples", "own"]


def test_a_denoiser_sees_no_patterns_whose_activations_could_be_drawn():
    path = Path(__file__).parents[2] / "config/studies/weights.yaml"
    study = check_config(yaml.safe_load(path.read_text()) | {"scale": "tiny"}, "weights.yaml")
    assert study.trained() == ["polygon_first", "polygon_net", "strong_net", "picture_net", "masked_net"]
    assert [study.seen_by(name) for name in study.trained()] == [None, "polygons", "strong", None, "faint"]


def test_a_network_starts_from_another_one_of_the_study(tmp_path):
    first = STUDY["networks"]["learned"]
    networks = {"first": first, "spare": first, "learned": first | {"set": SMALL | {"start_from": "first"}}}
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump(STUDY | {"networks": networks}, sort_keys=False))
    code, text = snakemake(tmp_path, path, "-n", "-p", "out/learned/best.pt")
    assert code == 0, text
    assert 'start_from="out/first/best.pt"' in text and "out/spare" not in text
    assert check_config(STUDY | {"networks": networks}, "study.yaml").trained() == ["first", "learned"]


@pytest.mark.parametrize(
    "start, other, told",
    [("first", {"start_from": "learned"}, "start from itself"), ("learned", {}, "itself"), ("deep", {}, "cdi_nn_3d")],
)
def test_a_network_that_cannot_start_from_another_is_refused(start, other, told):
    first = STUDY["networks"]["learned"]
    solid = {"scene": "polygons", "count": 8, "set": {"size": 32, "dimensions": 3, "photons": 0}}
    networks = {
        "first": first | {"set": SMALL | other},
        "learned": first | {"set": SMALL | {"start_from": start}},
        "deep": {"network": "cdi_nn_3d", "corpus": "solids"},
    }
    asked = STUDY | {"networks": networks, "corpora": STUDY["corpora"] | {"solids": solid}}
    with pytest.raises(InputError, match=told):
        check_config(asked, "study.yaml")


@pytest.mark.parametrize(
    "changes, named",
    [
        ({"networks": {"learned": {"network": "cdi_n", "corpus": "samples"}}}, r"networks\.learned\.network: unknown"),
        ({"networks": {"learned": {"network": "cdi_nn", "corpus": "sample"}}}, r"corpus: unknown corpus 'sample'"),
        ({"networks": {"learned": {"network": "cdi_nn_3d", "corpus": "samples"}}}, "planes of size 32"),
        ({"networks": {"one": {"network": "cdi_nn", "corpus": "samples"}}}, r"networks\.one: another part"),
        (
            {"networks": {"learned": {"network": "cdi_nn", "corpus": "samples", "set": {"epoch": 1}}}},
            r"networks\.learned\.set\.epoch: unknown key",
        ),
        ({"networks": {"learned": {"network": "cdi_nn"}}}, "exactly one of 'corpus' .of the study. and 'pairs'"),
        (
            {"networks": {"learned": {"network": "cdi_nn", "pairs": PAIRS, "set": {"samples": "fresh"}}}},
            r"networks\.learned\.set\.samples: fresh samples are drawn of a corpus's scene",
        ),
        ({"methods": {"m": {"method": "cdi_nn_3d", "checkpoint": "learned"}}}, "is a network cdi_nn; expected one of"),
    ],
    ids=str,
)
def test_mistakes_are_named(changes, named):
    with pytest.raises(InputError, match=named):
        check_config(STUDY | changes, "study.yaml")
