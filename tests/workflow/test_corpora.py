"""Corpora in a study: shards side by side, card and contact sheet, the page, and what is done again when."""

from __future__ import annotations

import json

import pytest
import yaml
from test_workflow import snakemake

from cdipipe.errors import InputError
from cdipipe.study.config import check_config

STUDY = {
    "output": "out",
    "measurements": {"one": {"scene": "polygons", "set": {"size": 32, "photons": 1e5}}},
    "methods": {"er": {"method": "er", "iterations": 5}},
    "keep_runs": False,
    "corpora": {"training": {"scene": "polygons", "count": 20, "shards": 3, "seed": 7, "set": {"size": 32}}},
}


def write_study(folder, **corpus):
    path = folder / "study.yaml"
    content = STUDY | {"corpora": {"training": STUDY["corpora"]["training"] | corpus}}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def test_a_corpus_is_built_finished_shown_and_only_made_again_when_it_changes(tmp_path):
    code, text = snakemake(tmp_path, write_study(tmp_path))
    assert code == 0, text
    folder = tmp_path / "out/training"
    card = json.loads((folder / "corpus.json").read_text())
    assert (card["samples"], card["shards"], card["seed"]) == (20, 3, 7)
    assert sorted(path.name for path in folder.glob("shard-*.json")) == [f"shard-000{i}.json" for i in range(3)]
    page = (tmp_path / "out/report.html").read_text()
    assert "Corpus training" in page and card["digest"] in page
    assert "cdipipe corpus polygons" in page and "--finish" in page

    code, text = snakemake(tmp_path, tmp_path / "study.yaml", "-n", "--rerun-triggers", "mtime")
    assert "Nothing to be done" in text, text
    code, text = snakemake(tmp_path, write_study(tmp_path, seed=8), "out/training/contact.png")
    assert code == 0, text
    assert json.loads((folder / "corpus.json").read_text())["seed"] == 8
    assert "reconstruct_object" not in text


@pytest.mark.parametrize(
    "corpus, named",
    [
        ({"scene": "polygon"}, r"corpora\.training\.scene: unknown scene 'polygon'"),
        ({"set": {"photns": 1}}, r"corpora\.training\.set\.photns: unknown key"),
        ({"shards": 21}, "shards 21: more than there are samples"),
        ({"chunks": 3}, r"corpora\.training\.chunks: unknown key"),
        ({"count": 0}, r"corpora\.training\.count"),
    ],
)
def test_mistakes_are_named(corpus, named):
    content = STUDY | {"corpora": {"training": STUDY["corpora"]["training"] | corpus}}
    with pytest.raises(InputError, match=named):
        check_config(content, "study.yaml")


def test_names_must_differ_from_measurements():
    corpus = STUDY["corpora"]["training"]
    with pytest.raises(InputError, match=r"corpora\.one: another part"):
        check_config(STUDY | {"corpora": {"one": corpus}}, "study.yaml")
