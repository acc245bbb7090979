"""Tables of a study: means over patterns and measurements, printed values, scales, and mistakes that are named."""

import json
import subprocess
import sys

import numpy as np
import pytest

from cdipipe.errors import InputError
from cdipipe.metrics import fourier
from cdipipe.study.config import check_config
from cdipipe.study.draw_agreements import agreement_figure, correlations
from cdipipe.study.draw_galleries import gallery_figure
from cdipipe.study.objects import PatternObjects
from cdipipe.study.scales import at_scale
from cdipipe.study.tables import fill_table, write_tsv

STUDY = {
    "output": "out",
    "measurements": {name: {"scene": "polygons"} for name in ("a", "b", "c")},
    "methods": {"er": {"method": "er"}, "hio": {"method": "hio"}},
    "reconstructions": [{"measurements": ["a", "b"]}, {"measurements": ["c"], "methods": ["hio"]}],
    "tables": {"t": {"metric": "psnr_db", "columns": {"low": ["a", "b"], "high": "c"}, "printed": {"X": {"high": 40}}}},
    "galleries": {"g": {"rows": {"first": "a"}}},
}


def study(**changes):
    return check_config({**STUDY, **changes}, "study")


def write_metrics(folder, pairs):
    for (measurement, method), metrics in pairs.items():
        place = folder / measurement / method
        place.mkdir(parents=True)
        (place / "metrics.json").write_text(json.dumps(metrics))


def test_cells_are_means_over_all_patterns(tmp_path):
    config = study(output=str(tmp_path))
    stack = {"psnr_db": 10.0, "psnr_db_std": 2.0, "patterns": 3}
    single = {"psnr_db": 20.0}
    write_metrics(tmp_path, {("a", "er"): stack, ("b", "er"): single, ("a", "hio"): single, ("b", "hio"): {}})
    write_metrics(tmp_path, {("c", "hio"): single})
    table = fill_table(config, "t")
    assert table.rows == ["er", "hio", "X (printed)"] and table.printed == 1
    values = np.array([10 - np.sqrt(6), 10, 10 + np.sqrt(6), 20.0])  # mean 10, standard deviation 2 of the first three
    assert table.mean[0, 0] == pytest.approx(values.mean()) and table.spread[0, 0] == pytest.approx(values.std())
    assert table.count[0, 0] == 4 and table.mean[1, 0] == 20 and np.isnan(table.spread[1, 0])
    assert np.isnan(table.mean[0, 1]) and table.mean[2].tolist()[1] == 40
    assert "X (printed)\thigh\tpsnr_db\t40\t\t0" in write_tsv(table)


def test_what_a_batch_took_has_no_spread_over_its_patterns(tmp_path):
    seconds = {"metric": "seconds", "columns": {"one": "a", "two": ["a", "b"]}, "methods": ["er"]}
    config = study(output=str(tmp_path), tables={"t": seconds})
    write_metrics(tmp_path, {("a", "er"): {"seconds": 0.1, "patterns": 3}, ("b", "er"): {"seconds": 0.2}})
    table = fill_table(config, "t")
    assert table.mean[0].tolist() == pytest.approx([0.1, 0.125])
    assert np.isnan(table.spread[0, 0]) and table.spread[0, 1] == pytest.approx(np.std([0.1, 0.1, 0.1, 0.2]))


def test_a_missing_result_is_named(tmp_path):
    with pytest.raises(InputError, match=r"metrics\.json: missing"):
        fill_table(study(output=str(tmp_path)), "t")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"metric": "r_factor", "columns": {"x": "d"}}, "unknown measurement 'd'"),
        ({"metric": "r_factor", "columns": {"x": "a"}, "methods": ["oi"]}, "unknown method 'oi'"),
        ({"metric": "r_factor", "columns": {"x": "a"}, "axis": "photons"}, "columns must be numbers"),
        ({"metric": "r_factor", "columns": {"x": "a"}, "printed": {"X": {"y": 1}}}, "no column 'y'"),
    ],
)
def test_mistakes_are_named(entry, said):
    with pytest.raises(InputError, match=said):
        study(tables={"t": entry})


def test_a_scale_is_laid_over_the_rest():
    scales = {"tiny": {"measurements": {"a": {"set": {"size": 32}}}, "restarts": 2}, "paper": {}}
    config = study(scales=scales, scale="tiny")
    assert config.measurements["a"].set == {"size": 32} and config.restarts == 2
    assert study(scales=scales).measurements["a"].set == {}
    assert at_scale({**STUDY, "scales": scales}, "study", "tiny")["measurements"]["a"]["set"] == {"size": 32}
    with pytest.raises(InputError, match="unknown scale 'tny'"):
        study(scales=scales, scale="tny")


def test_a_configuration_at_a_scale_can_be_written_and_read_again(tmp_path, cli):
    import yaml

    source, written = tmp_path / "study.yaml", tmp_path / "tiny.yaml"
    source.write_text(yaml.safe_dump({**STUDY, "scales": {"tiny": {"restarts": 3}}}))
    assert cli("config", source, "--scale", "tiny", "-o", written).code == 0
    assert cli("config", written, "--get", "restarts").out.strip() == "3"
    told = cli("table", source, "u", "-o", tmp_path / "x.png").complaint
    assert "unknown figure 'u'" in told
    assert "has none" in cli("table", source, "g", "-o", tmp_path / "x.png", "--values", tmp_path / "x.tsv").complaint


def test_a_table_and_a_gallery_cannot_share_a_name():
    with pytest.raises(InputError, match="another figure has this name already"):
        study(galleries={"t": {"rows": {"first": "a"}}})


def test_tables_and_the_report_load_no_torch():
    """Every table is a job of its own, and loading torch would be most of its time."""
    modules = "cdipipe.study.drawing, cdipipe.study.draw_tables, cdipipe.study.draw_rankings, cdipipe.study.report"
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_of_several_metrics_the_first_that_a_result_has_is_shown(tmp_path):
    table = {"metric": ["field_phase_correlation", "psnr_db"], "columns": {"low": "a", "high": "c"}}
    config = study(output=str(tmp_path), tables={"t": table})
    write_metrics(tmp_path, {("a", "er"): {"psnr_db": 10.0}, ("a", "hio"): {"psnr_db": 12.0}, ("b", "er"): {}})
    write_metrics(tmp_path, {("c", "hio"): {"psnr_db": 20.0, "field_phase_correlation": 0.5}})
    filled = fill_table(config, "t")
    assert filled.metric == "psnr_db"
    assert np.array_equal(filled.mean, [[10.0, np.nan], [12.0, 0.5]], equal_nan=True)


def test_a_gallery_of_many_methods_goes_on_in_the_next_line():
    truth = np.zeros((32, 32), complex)
    truth[12:20, 10:22] = 1 + np.arange(12)
    methods = [f"m{i}" for i in range(17)]
    rows = {
        "a": PatternObjects(truth, truth != 0, dict.fromkeys(methods[:13], truth)),
        "b": PatternObjects(truth, truth != 0, {"m16": truth}),
    }
    for shown, lines, places in ((methods, 3, [9, 5, 2]), (["m3", "m16"], 2, [2, 2])):
        axes = np.array(gallery_figure(rows, shown, "t").axes).reshape(lines, -1)
        assert [sum(bool(axis.images) for axis in line) for line in axes] == places
        assert [line[0].get_ylabel() for line in axes] == ["a", "", "b"][:: 1 if lines == 3 else 2]


def test_a_gallery_of_misfits_shows_where_and_how_far_methods_agree():
    generator = np.random.default_rng(5)
    truth = np.zeros((24, 24), complex)
    truth[8:16, 7:18] = 1 + generator.random((8, 11))
    other = truth * (1 + 0.5 * generator.random(truth.shape))
    misfits = {"a": np.full((32, 32), 0.25), "b": np.full((32, 32), np.nan)}
    misfits["b"][3, 4] = 0.75
    rows = {"one": PatternObjects(truth, truth != 0, {"a": truth, "b": other}, misfits)}
    figure = agreement_figure(rows, ["a", "b"], "t")
    shown = {ax.get_title(): ax for ax in figure.axes if ax.images}
    assert list(shown) == ["truth", "a", "b", "correlation", "mean 0.25", "mean 0.75"]
    drawn = shown["mean 0.75"].images[0].get_array()
    assert drawn.count() == 1 and drawn[3, 4] == 0.75 and drawn.shape == (32, 32)
    matrix = correlations([truth, truth, other], truth != 0)
    inside = truth != 0
    expected = np.corrcoef(np.abs(truth[inside]), np.abs(other[inside]))[0, 1]
    np.testing.assert_allclose(matrix, [[1, 1, expected], [1, 1, expected], [expected, expected, 1]])
    assert [text.get_text() for text in shown["correlation"].texts][:3] == ["1.00", "1.00", f"{expected:.2f}"]


def test_local_misfits_are_those_whose_mean_is_the_local_r_factor():
    intensity = np.array([[4.0, 0.4], [9.0, 16.0]])
    model = np.array([[9.0, 1.0], [9.0, 1.0]])
    pixels = np.array([[True, True], [True, False]])
    found = fourier.local_misfits(model, intensity, pixels)
    np.testing.assert_array_equal(found, [[0.5, np.nan], [0, np.nan]])
    assert fourier.r_factor_local(model, intensity, pixels) == 0.25
    assert fourier.r_factor_local(model, np.zeros((2, 2)), pixels) is None
