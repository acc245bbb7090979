"""The configuration tree: what it accepts, and how it names what it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cdipipe.errors import InputError
from cdipipe.study.config import check_config, load_config
from cdipipe.study.entries import as_options
from cdipipe.study.tree import Config

CONFIGS = sorted((Path(__file__).parents[2] / "config").rglob("*.yaml"))
QUICKSTART = next(path for path in CONFIGS if path.stem == "quickstart")


def study(**changes) -> dict:
    base = {
        "output": "results/x",
        "measurements": {
            "one": {"scene": "polygons", "seed": 3, "set": {"size": 64, "phase_range_rad": 1.0}},
            "two": {"import": {"files": ["a.npy::b"], "mask": "m.tif", "crop": [64, 64], "threshold": 2}},
        },
        "methods": {"hio": {"method": "hio", "iterations": 10}, "mix": {"sequence": "2*(3*ER+5*HIO)", "restarts": 4}},
    }
    return base | changes


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_of_the_repository_is_valid(path):
    config = load_config(path)
    assert config.pairs()
    assert set(config.used()) == set(config.measurements)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"mesurements": {}}, "s.mesurements: unknown key 'mesurements' (did you mean 'measurements'?)"),
        ({"output": ""}, "s.output"),
        ({"measurements": {}}, "s.measurements"),
        ({"measurements": {"a b": {"scene": "polygons"}}}, "s.measurements.a b"),
        ({"measurements": {"a": {"scene": "polygons", "sed": 1}}}, "s.measurements.a.sed: unknown key 'sed'"),
        ({"measurements": {"a": {}}}, "exactly one of 'scene' (simulate) and 'import'"),
        ({"measurements": {"a": {"scene": "poligons"}}}, "unknown scene 'poligons' (did you mean 'polygons'?)"),
        ({"measurements": {"a": {"scene": "polygons", "set": {"sise": 64}}}}, "measurements.a.set.sise: unknown key"),
        ({"measurements": {"a": {"scene": "polygons", "set": {"photons": -1}}}}, "measurements.a.set.photons"),
        ({"measurements": {"a": {"fetch": "nothing", "import": {"files": ["x"]}}}}, "unknown data set 'nothing'"),
        ({"measurements": {"a": {"import": {"files": ["x"], "energy_kev": 9}}}}, "unknown key 'energy_kev'"),
        ({"measurements": {"a": {"import": {"files": []}}}}, "s.measurements.a.import.files"),
        ({"methods": {"hio": {"method": "hio", "betta": 0.9}}}, "unknown key 'betta' (did you mean 'beta'?)"),
        ({"methods": {"hio": {"method": "hoi"}}}, "unknown method 'hoi'"),
        ({"methods": {"mix": {"sequence": "3*(20*ER"}}}, "methods.mix.sequence"),
        ({"reconstructions": [{"methods": ["hoi"]}]}, "reconstructions[0].methods: unknown method 'hoi'"),
        ({"reconstructions": [{"measurement": ["one"]}]}, "unknown key 'measurement'"),
        (
            {"tables": {"t": {"metric": "psnr", "columns": {1: "one"}}}},
            "tables.t.metric: unknown metric 'psnr' (did you mean 'psnr_db'?)",
        ),
        (
            {"tables": {"t": {"metric": "patterns", "columns": {1: "one"}, "ranking": True}}},
            "tables.t.metric: patterns has no better end",
        ),
        (
            {"distributions": {"d": {"metric": "psnr", "measurements": ["one"]}}},
            "distributions.d.metric: unknown metric",
        ),
        ({"average": {"keep_best": 2}, "keep_runs": False}, "average: needs the runs"),
        ({"average": {"keep_besst": 2}}, "s.average.keep_besst: unknown key 'keep_besst'"),
        ({"restarts": 0}, "s.restarts"),
    ],
)
def test_a_wrong_entry_is_named_in_one_line(changes, said):
    with pytest.raises(InputError) as caught:
        check_config(study(**changes), "s")
    message = str(caught.value)
    assert "\n" not in message
    assert said in message


def test_the_restarts_of_a_study_go_to_the_methods_that_take_any():
    movie = {"scene": "test_chart", "set": {"size": 64, "frames": 2}}
    methods = {name: {"method": name} for name in ("hio", "cdip", "cdi_nn", "mf_pie")}
    config = check_config(
        study(restarts=8, measurements={"one": {"scene": "polygons"}, "movie": movie}, methods=methods), "s"
    )
    restarts = {
        (measurement, method): [o for o in config.options("reconstruct", measurement, method) if "restarts" in o]
        for measurement in ("one", "movie")
        for method in methods
    }
    taken = [("one", "hio"), ("one", "cdip"), ("movie", "hio")]
    assert restarts == {pair: ["--restarts=8"] * (pair in taken) for pair in restarts}
    with pytest.raises(InputError, match=r"methods\.cdi_nn\.restarts: cdi_nn does not take it"):
        check_config(study(methods={"cdi_nn": {"method": "cdi_nn", "restarts": 8}}), "s")


def test_pairs_are_the_full_product_unless_listed():
    assert check_config(study(), "s").pairs() == [("one", "hio"), ("one", "mix"), ("two", "hio"), ("two", "mix")]
    listed = study(reconstructions=[{"measurements": ["two"]}, {"measurements": ["two", "one"], "methods": ["mix"]}])
    assert check_config(listed, "s").pairs() == [("two", "hio"), ("two", "mix"), ("one", "mix")]
    assert check_config(listed, "s").used() == ["one", "two"]
    assert check_config(listed, "s").compared() == ["two"]


def test_options_are_those_of_the_command_line():
    config = check_config(study(seed=7, restarts=2, free_fraction=0.05, average={"keep_best": 2, "drop": [1, 3]}), "s")
    assert config.options("simulate", "one") == ["polygons", "--seed=3", "--set=size=64", "--set=phase_range_rad=1.0"]
    assert config.options("import", "two") == ["a.npy::b", "--mask=m.tif", "--threshold=2.0", "--crop=64,64"]
    common = ["--keep-runs", "--free-fraction=0.05"]
    assert config.options("reconstruct", "one", "hio") == ["--seed=7", "--restarts=2", *common]
    assert config.options("reconstruct", "one", "mix") == ["--seed=7", *common]  # its recipe says
    assert config.options("runs", "one", "hio") == ["--keep-best=2", "--agree=0.9", "--drop=1,3", "--modes=3"]
    assert config.sources("two") == ["a.npy", "m.tif"]


def test_options_leave_out_what_is_not_set():
    assert as_options({"a_b": None, "c": False, "d": True, "e": [], "f": 0}) == ["--d", "--f=0"]


def test_files_of_a_fetched_set_lie_in_its_folder(monkeypatch, tmp_path):
    monkeypatch.delenv("CDIPIPE_DATA_DIR", raising=False)
    monkeypatch.setenv("CDIPIPE_CACHE", str(tmp_path))
    entry = {"fetch": "aps34idc_s54", "import": {"files": ["counts.npz"], "whitefield": "w.tif"}}
    config = check_config(study(measurements={"gold": entry}), "s")
    folder = tmp_path / "aps34idc_s54"
    assert config.options("import", "gold") == [f"{folder}/counts.npz", f"--whitefield={folder}/w.tif"]
    assert config.sources("gold") == ["results/x/data/aps34idc_s54.txt"]


def test_numbers_may_have_exponents(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text(
        "output: r\nmeasurements: {a: {scene: polygons, set: {photons: 1e6}}}\nmethods: {hio: {method: hio}}\n"
    )
    assert load_config(file).options("simulate", "a") == ["polygons", "--set=photons=1000000.0"]


def test_a_key_given_twice_is_refused(tmp_path):
    file = tmp_path / "s.yaml"
    file.write_text("output: r\noutput: q\n")
    with pytest.raises(InputError, match="line 2: key 'output' is given twice"):
        load_config(file)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"a: [1", b"- a list", b"", b"just words"])
def test_a_file_that_is_no_configuration_is_named(cli, tmp_path, content):
    file = tmp_path / "s.yaml"
    file.write_bytes(content)
    assert str(file) in cli("config", file).complaint


def test_validation_loads_no_torch():
    code = "import sys, cdipipe.study.config as c; c.load_config(sys.argv[1]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code, str(CONFIGS[0])], check=False).returncode == 0


def test_the_config_command_prints_the_tree_and_single_entries(cli):
    assert "phase_range_rad: 1.0" in cli("config", QUICKSTART).out
    assert cli("config", QUICKSTART, "--get", "output").out.strip() == "results/quickstart"
    assert "no entry 'outptu'" in cli("config", QUICKSTART, "--get", "outptu").complaint


def test_a_changed_copy_of_a_study_has_its_own_pairs():
    study = Config(output="out", measurements={"a": {"scene": "polygons"}}, methods={"er": {"method": "er"}})
    assert study.pairs() == [("a", "er")]
    changed = study.model_copy(update={"methods": {"er": {"method": "er"}, "hio": {"method": "hio"}}})
    assert changed.pairs() == [("a", "er"), ("a", "hio")] and study.pairs() == [("a", "er")]
    assert study == Config(output="out", measurements={"a": {"scene": "polygons"}}, methods={"er": {"method": "er"}})
