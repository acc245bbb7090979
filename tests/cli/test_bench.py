import argparse
import json
import re
import runpy
import sys

import pytest

from cdipipe.cli import bench

README = bench.FOLDER.parent / "README.md"


class Parsed(BaseException):
    """A script that understood its arguments."""


def test_every_benchmark_has_its_script(cli):
    listed = json.loads(cli("bench", "--json").out)
    assert set(listed) == set(bench.BENCHMARKS) and "quality" in cli("bench").out
    assert all((bench.FOLDER / one.call[0]).is_file() for one in bench.BENCHMARKS.values())


@pytest.mark.parametrize("name", bench.BENCHMARKS)
def test_its_command_line_parses(name, monkeypatch, tmp_path):
    script, *words = bench.BENCHMARKS[name].call
    parse = argparse.ArgumentParser.parse_args

    def stop(*given):
        parse(*given)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "argv", [script, *words, "-o", str(tmp_path / "result.json")])
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # which some set where it is not
    monkeypatch.syspath_prepend(str(bench.FOLDER))
    with pytest.raises(Parsed):
        runpy.run_path(str(bench.FOLDER / script), run_name="__main__")


def test_every_record_can_be_made_again_by_name_or_says_which_study_measures_it_now():
    made = {one.record for one in bench.BENCHMARKS.values()} | {"faults"}  # make faults
    records = [file for file in (bench.FOLDER / "results").glob("*.json") if file.stem not in made]
    assert [file.name for file in records if "measured_now_by" not in json.loads(file.read_text())] == []


def test_names_of_the_guide_are_those_of_benchmarks():
    pages = [*(bench.FOLDER.parent / "docs").glob("*.md"), README, *bench.CONFIG.rglob("*.yaml")]
    text = "".join(page.read_text() for page in pages)
    named = re.findall(r"cdipipe bench ([a-z_0-9]+)", text)
    assert named and [name for name in named if name not in bench.BENCHMARKS] == []
    quoted = re.findall(r"benchmarks/results/(\w+\.json)", text)
    assert quoted and [name for name in quoted if not (bench.FOLDER / "results" / name).is_file()] == []


def test_an_unknown_benchmark_is_named(cli):
    assert "unknown benchmark 'sped' (did you mean 'speed'?)" in cli("bench", "sped").complaint


def test_runs_a_script_and_prints_its_json(cli, monkeypatch, tmp_path):
    script = tmp_path / "quick.py"
    script.write_text("import sys; print('on the way'); open(sys.argv[-1], 'w').write('{\"ratio\": 1}\\n')")
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    monkeypatch.setattr(bench, "BENCHMARKS", {"quick": bench.Benchmark(["quick.py"], "a test", "quick")})
    assert json.loads(cli("bench", "quick", "--json").out) == {"ratio": 1}
    script.write_text("raise SystemExit('no such device')")
    assert "exit code 1" in next(line for line in cli("bench", "quick").err.splitlines() if line.startswith("cdipipe"))


def test_a_study_is_recorded_with_its_tables_and_distributions(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(bench.FOLDER))
    study = runpy.run_path(str(bench.FOLDER / "study.py"))
    folder = tmp_path / "tables"
    folder.mkdir()
    head = "row\tcolumn\tmetric\tmean\tspread\tpatterns\n"
    (folder / "dose.tsv").write_text(head + "hio\tweak\tpsnr_db\t20\t1.5\t3\nHIO (printed)\tweak\tpsnr_db\t19\t\t0\n")
    head = "method\tmetric\tpatterns\tmean\nhio\tssim\t4\t0.5\ngps\tssim\t4\t0.7\n"
    (folder / "all.tsv").write_text(head + "first\tsecond\tpatterns\twilcoxon_p\nhio\tgps\t4\t0.125\n")
    assert study["tables"](tmp_path) == {
        "dose: psnr_db": {
            "hio": {"weak": {"mean": 20, "spread": 1.5, "patterns": 3}},
            "HIO (printed)": {"weak": {"mean": 19, "patterns": 0}},
        }
    }
    assert study["distributions"](tmp_path) == {
        "all: ssim": {
            "hio": {"patterns": 4, "mean": 0.5},
            "gps": {"patterns": 4, "mean": 0.7},
            "hio - gps": {"patterns": 4, "wilcoxon_p": 0.125},
        }
    }
