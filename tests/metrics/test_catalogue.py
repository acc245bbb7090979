"""Metrics are declared once: the guide, tables and metrics.json say what the records say."""

from __future__ import annotations

import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cdipipe.figures.tables import ranks, shown_columns
from cdipipe.measurement import Reconstruction
from cdipipe.metrics.evaluate import evaluate
from cdipipe.metrics.record import Metric
from cdipipe.metrics.registry import METRICS, all_metrics, get_metric, good_end, heading_of
from cdipipe.simulation.exposure import simulate
from cdipipe.simulation.registry import get_scene

PAGE = Path(__file__).parents[2] / "docs/metrics.md"


@pytest.fixture
def brought(monkeypatch):
    """A function that adds metrics as another package would."""

    def bring(*metrics: Metric) -> None:
        entries = {metric.name: [SimpleNamespace(value=f"other:{metric.name}", dist=None)] for metric in metrics}
        monkeypatch.setitem(METRICS.__dict__, "plugins", entries)
        monkeypatch.setitem(METRICS.__dict__, "_all", all_metrics() | {metric.name: metric for metric in metrics})

    return bring


@pytest.fixture(scope="module")
def judged():
    """A reconstruction of two shots, and what it is judged by."""
    scene = get_scene("polygons")
    measurement, truth = simulate(scene, scene.parameters(size=32, count=2), seed=2)
    runs = np.stack([truth.object, np.roll(truth.object, 2, -1)])
    return Reconstruction(truth.object, truth.support, "shots", runs=runs, seconds=3.0), measurement, truth


def test_the_table_of_the_guide_says_what_the_records_say():
    rows = [
        f"| `{m.name}` | {m.unit} | {m.good or ''} | {', '.join(m.needs)} | {m.meaning} |"
        for m in all_metrics().values()
    ]
    assert [line for line in PAGE.read_text().splitlines() if line.startswith("| `")] == rows


def test_every_number_of_a_reconstruction_is_declared(judged):
    found = evaluate(*judged).metrics
    assert {name.removesuffix("_std") for name in found} - {"verdict", "reasons"} <= set(all_metrics())
    assert found["seconds_per_pattern"] == 1.5 and found["patterns"] == 2 and found["prtf_runs"] == 2


def test_a_metric_of_another_package_is_measured_and_shown(brought, judged):
    largest = Metric("largest", "largest", "largest modulus", lambda case: np.abs(case.object).max(), unit="photons")
    brought(largest, replace(largest, name="of_all", of="whole", judge=lambda case: case.measurement.pattern_count))
    found = evaluate(*judged)
    expected = np.abs(judged[2].object).max((1, 2))
    assert found.metrics["largest"] == pytest.approx(expected.mean()) and found.metrics["of_all"] == 2
    np.testing.assert_allclose(found.curves["pattern_largest"], expected)
    assert shown_columns([found.metrics])[-2:] == ["largest", "of_all"]
    assert heading_of("largest") == "largest (photons)" and good_end("largest") is None


def test_what_a_metric_needs_is_there_when_it_is_asked(brought, judged):
    brought(Metric("of_truth", "x", "x", lambda case: np.abs(case.truth).max(), needs=("truth",)))
    result, measurement, truth = judged
    assert "of_truth" in evaluate(result, measurement, truth).metrics
    assert "of_truth" not in evaluate(result, measurement).metrics


@pytest.mark.parametrize("value", [None, np.nan, np.inf])
def test_a_metric_without_a_value_is_absent(brought, judged, value):
    brought(Metric("none", "x", "x", lambda case: value))
    assert "none" not in evaluate(*judged).metrics


def test_a_metric_of_another_package_that_fails_is_left_out_and_named_once(brought, judged, caplog):
    brought(Metric("broken", "x", "x", lambda case: case.nothing))
    with caplog.at_level(logging.WARNING):
        assert "broken" not in evaluate(*judged).metrics
    assert len(caplog.messages) == 1 and "metric 'broken' of plug-in other:broken failed: Attrib" in caplog.messages[0]


def test_a_metric_without_a_better_end_ranks_nobody():
    assert get_metric("patterns").good is None
    assert ranks([1.0, 2.0], None) == [None, None]


def test_numbers_and_texts_of_tables():
    assert get_metric("psnr_db").text(12.34567) == "12.35" and get_metric("patterns").text(12.0) == "12"
    assert get_metric("device").text("cpu") == "cpu" and get_metric("psnr_db").text(None) == ""


def test_metrics_are_listed_without_torch():
    code = (
        "import sys; from cdipipe.metrics.registry import all_metrics; all_metrics(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
