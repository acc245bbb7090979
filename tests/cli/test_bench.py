import json

from cdipipe.cli import bench


def test_every_benchmark_has_its_script(cli):
    listed = json.loads(cli("bench", "--json").out)
    assert set(listed) == set(bench.BENCHMARKS) and "quality" in cli("bench").out
    assert all((bench.FOLDER / call[0]).is_file() for call, _ in bench.BENCHMARKS.values())


def test_an_unknown_benchmark_is_named(cli):
    assert "unknown benchmark 'sped' (did you mean 'speed'?)" in cli("bench", "sped").complaint


def test_runs_a_script_and_prints_its_json(cli, monkeypatch, tmp_path):
    script = tmp_path / "quick.py"
    script.write_text("import sys; print('on the way'); open(sys.argv[-1], 'w').write('{\"ratio\": 1}\\n')")
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    monkeypatch.setattr(bench, "BENCHMARKS", {"quick": (["quick.py"], "a test")})
    assert json.loads(cli("bench", "quick", "--json").out) == {"ratio": 1}
    script.write_text("raise SystemExit('no such device')")
    assert "exit code 1" in next(line for line in cli("bench", "quick").err.splitlines() if line.startswith("cdipipe"))
