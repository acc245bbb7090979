"""One HTML page that holds a whole study: tables, pictures, and the commands that made them. Needs no network."""

from __future__ import annotations

import importlib.resources
import json
from pathlib import Path
from typing import Any

import numpy as np

from cdipipe.errors import InputError
from cdipipe.figures import viewer
from cdipipe.figures.frames import MOST_FRAMES
from cdipipe.figures.tables import shown_columns
from cdipipe.io.cxi import read_measurement, read_reconstruction
from cdipipe.io.metrics_file import read_metrics
from cdipipe.measurement import Reconstruction
from cdipipe.metrics.registry import all_metrics
from cdipipe.provenance import collect
from cdipipe.study.answers import best_of, next_of, numbers_of, telling
from cdipipe.study.config import Config
from cdipipe.study.embedded import bytes_of, frames_of, picture_of, tsv_link

TEMPLATE = "report.html.j2"
VALUES_OF_A_VIEW = 250_000
"""Numbers of each array that can be looked into: half a megabyte before it is packed."""
CURVES_SHOW = {
    "profile": "in black the truth, where it is known",
    "densities": "solid: particles, dashed: background, told apart by Otsu's threshold; d': their distance",
    "prtf": "where a curve falls below 1/e (dotted) noise has taken the phases; beside the names the full period there",
}
FEWEST_FRAMES, FRAMES_OF_A_PAGE = 6, 480
"""A page of many stacks shows fewer frames of each, so that it stays small; none shows less than these."""
MANY = 200
"""Of more reconstructions than these, only the best of each measurement has its frames and its movie in the page."""


def write_html(study: Config, source: Path) -> str:
    """The page of a study whose results lie in its output folder.

    Parameters
    ----------
    study : Config, read from ``source``

    Raises
    ------
    InputError   a result or a picture is missing
    """
    import jinja2

    folder = Path(study.output)
    template = importlib.resources.files("cdipipe.study").joinpath(TEMPLATE).read_text(encoding="utf-8")
    strict = jinja2.StrictUndefined
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=strict)
    measurements = [_measurement(study, folder, name) for name in study.used()]
    rows = [(m["name"], r["name"], r["metrics"]) for m in measurements for r in m["results"]]
    answers = [_answer(m) for m in measurements if m["results"]]
    keys = telling(shown_columns([metrics for _, _, metrics in rows]), [metrics for _, _, metrics in rows])
    return environment.from_string(template).render(
        title=folder.name,
        source=source,
        about=_about(source),
        scale=study.scale,
        answers=answers,
        viewer=viewer.parts(has_surfaces=any(a["has_surfaces"] for a in answers)),
        download=tsv_link(folder / "summary.tsv"),
        provenance=collect([source]),
        columns=[all_metrics()[key] for key in keys],
        rows=rows,
        tables=[_table(study, folder, name, entry.title or name) for name, entry in study.drawn().items()],
        overview=picture_of(folder / "metrics.png", "The darker a cell, the better the method on its measurement."),
        measurements=measurements,
        corpora=[_corpus(study, folder, name) for name in study.built()],
        networks=[_network(study, folder, name) for name in study.trained()],
        trainings=picture_of(folder / "tables" / "trainings.png", "All trainings: loss on samples kept aside.")
        if len(study.trained()) > 1
        else None,
    )


def _about(source: Path) -> str:
    """What the study says of itself in the comment at its head."""
    lines = []
    for line in source.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if "yaml-language-server" not in line:
            lines.append(line.lstrip("# "))
    return " ".join(lines)


def _answer(measurement: dict[str, Any]) -> dict[str, Any]:
    """The best result of a measurement, what is known of it, and what to do next."""
    best = best_of(measurement["results"])
    return {
        "measurement": measurement["name"],
        "method": best["name"],
        "methods": len(measurement["results"]),
        "verdict": best["metrics"].get("verdict", ""),
        "numbers": numbers_of(best["metrics"]),
        "next": next_of(best["metrics"]),
        **_closer(best),
    }


def _closer(best: dict[str, Any]) -> dict[str, Any]:
    """What the page can show of a result where a reader looks closer: all of its slices and values."""
    if best["strain"]:
        from cdipipe.bragg.files import read_strain

        view = viewer.crystal_view(read_strain(best["place"] / "strain.cxi"))
    else:
        view = viewer.object_view(read_reconstruction(best["path"]), VALUES_OF_A_VIEW)
    return {"view": viewer.as_json(view), "has_surfaces": bool(view["surfaces"])}


def _table(study: Config, folder: Path, name: str, title: str) -> dict[str, Any]:
    """A figure that the study asks for by name."""
    if name in study.galleries:
        caption = f"{title}."
    elif name in study.distributions:
        caption = f"{title}; of every pattern, two-sided tests between the methods."
    elif name in study.curves:
        caption = f"{title}; {CURVES_SHOW[study.curves[name].show]}."
    elif name in study.sweeps:
        caption = f"{title}: likelihood of withheld pixels, the lowest ringed; below, with a truth, the correlation."
    else:
        caption = f"{title}; mean ± standard deviation over the patterns"
        caption += ", grey: as printed in the paper." if study.tables[name].printed else "."
    return {"name": name, "title": title, "picture": picture_of(folder / "tables" / f"{name}.png", caption)}


def _corpus(study: Config, folder: Path, name: str) -> dict[str, Any]:
    """Picture and numbers of a corpus, from its card."""
    try:
        card = json.loads(bytes_of(folder / name / "corpus.json"))
    except ValueError as error:
        raise InputError(f"{folder / name / 'corpus.json'}: damaged; remove it and run the workflow again") from error
    numbers = {
        "photons per sample": "{min:.4g} to {max:.4g}, mean {mean:.4g}".format(**card["photons"]),
        "phase range": "{min:.3g} to {max:.3g} rad".format(**card["phase_range_rad"]),
        **_facts(card.get("facts", {})),
        "seed": str(card["seed"]),
        "arrays": ", ".join(f"{key} {a['sample_shape']} {a['dtype']}" for key, a in card["arrays"].items()),
        "size on disk": f"{card['bytes'] / 2**20:.1f} MiB",
        "building": f"{card['build_seconds']:g} s",
        "digest": card["digest"],
        "finished": card["time_utc"],
        "versions": ", ".join(f"{key} {value}" for key, value in card["versions"].items()),
    }
    entry = study.corpora[name]
    return {
        "name": name,
        "summary": f"{card['samples']} samples of scene {entry.scene} in {entry.shards} shards",
        "settings": _flat(entry.set),
        "numbers": numbers,
        "sheet": picture_of(folder / name / "contact.png", "Intensity, amplitude and phase of some samples."),
    }


def _facts(facts: dict[str, Any]) -> dict[str, str]:
    """What the scene told of the samples: of crystals loads, defects and strain."""
    ranges = {
        name: "{min:.3g} to {max:.3g}, mean {mean:.3g}".format(**told)
        for name, told in facts.get("numbers", {}).items()
    }
    counts = {
        f"samples by {name}": ", ".join(f"{word} {count}" for word, count in counts.items())
        for name, counts in facts.get("words", {}).items()
    }
    return ranges | counts


def _judged(place: Path, corpus: str) -> dict[str, Any]:
    """How a network did on a corpus that it has not seen."""
    try:
        summary = json.loads(bytes_of(place / "judged.json"))["summary"]
    except (ValueError, KeyError) as error:
        raise InputError(f"{place / 'judged.json'}: damaged; remove it and run the workflow again") from error
    beside = "Histograms beside phase zero; the correlation against what it may hang on."
    return {
        "corpus": corpus,
        "numbers": {name.replace("_", " "): "{mean:.4g} +- {std:.2g}".format(**told) for name, told in summary.items()},
        "errors": picture_of(place / "judged" / "errors.png", beside),
        "extremes": picture_of(place / "judged" / "extremes.png", "The worst samples, then the best."),
    }


def _network(study: Config, folder: Path, name: str) -> dict[str, Any]:
    """Pictures of a training."""
    entry, place = study.networks[name], folder / name
    layers = "What each convolution makes of a pattern: the channels that vary most, each on its own scale."
    return {
        "name": name,
        "summary": f"{entry.network}, trained on {' and '.join(entry.corpora or entry.pairs.files())}",
        "settings": _flat(entry.set),
        "curve": picture_of(place / "curve.png", "Loss, and its parts, on samples kept aside; dotted: while training."),
        "activations": picture_of(place / "activations.png", layers) if study.seen_by(name) else None,
        "judged": _judged(place, entry.judge) if entry.judge else None,
    }


def _measurement(study: Config, folder: Path, name: str) -> dict[str, Any]:
    entry = study.measurements[name]
    truth = "the truth" if entry.scene else "the first object"
    place = folder / name
    provenance = read_measurement(place / "M.cxi").provenance
    results = [_result(study, name, method) for m, method in study.pairs() if m == name]
    for result in results if len(study.pairs()) <= MANY else [best_of(results)]:
        result |= _moving(study, name, result)
    return {
        "name": name,
        "origin": f"simulated, scene {entry.scene}" if entry.scene else "read from " + ", ".join(entry.import_.files),
        "settings": _flat(entry.set) if entry.scene else _flat(entry.import_.model_dump(exclude_defaults=True)),
        "light": _light(provenance),
        "pattern": picture_of(place / "pattern.png", "Measured intensity, logarithmic; grey pixels were not measured."),
        "comparison": picture_of(place / "comparison.png", f"All methods, laid over {truth}.")
        if name in study.compared()
        else None,
        "resolution": picture_of(place / "resolution.png", "Resolution of all methods, as far as it can be told.")
        if name in study.compared()
        else None,
        "made": {str(place / "M.cxi"): _flat(provenance)},
        "results": results,
    }


def _moving(study: Config, measurement: str, result: dict[str, Any]) -> dict[str, Any]:
    """What of a result moves: the frames that a slider steps through, and a movie."""
    most = max(FEWEST_FRAMES, min(MOST_FRAMES, FRAMES_OF_A_PAGE // len(study.pairs())))
    is_movie = study.measurements[measurement].is_movie
    return {
        "movie": picture_of(result["place"] / "movie.gif", "Amplitude and phase of the frames.") if is_movie else None,
        "frames": frames_of(read_reconstruction(result["path"]), most),
    }


def _light(provenance: dict[str, Any]) -> dict[str, str]:
    """What a scene tells of its light (photons per pixel in each sense, dose in gray), means over its samples."""
    return {name.replace("_", " "): f"{np.mean(value):.4g}" for name, value in provenance.get("light", {}).items()}


def _result(study: Config, measurement: str, method: str) -> dict[str, Any]:
    place = Path(study.output) / measurement / method
    path = place / study.result_name()
    result = read_reconstruction(path)
    source = read_reconstruction(place / "R.cxi") if study.average else result
    made = {str(path): _provenance(result)}
    if study.average:
        made[str(place / "R.cxi")] = _provenance(source)
    return {
        "name": method,
        "place": place,
        "path": path,
        "recipe": json.dumps(study.methods[method]),
        "metrics": read_metrics(place / "metrics.json"),
        "object": picture_of(
            place / "object.png",
            "Amplitude, phase (hidden where the amplitude is below a tenth of its maximum) and support.",
        ),
        "is_stack": result.stack != "single",
        "movie": None,
        "frames": None,
        "diagnostics": picture_of(
            place / "diagnostics.png", "Error of every restart, resolution, scores of the runs.", is_drawing=True
        ),
        "runs": _runs(result, source),
        "modes": [f"{weight:.4f}" for weight in result.mode_weights] if result.mode_weights is not None else [],
        "made": made,
        "strain": _strain(place) if study.measurements[measurement].strain is not None else None,
        "uncertainty": _uncertainty(place) if study.measurements[measurement].has_error_bars else None,
        "resolution": _resolution(place) if study.measurements[measurement].resolution else None,
        "tuning": _tuning(place) if method in study.tunings else None,
        "shots": bytes_of(place / "shots.html").decode() if study.measurements[measurement].has_shots else None,
        "exports": [place / f"object.{kind}" for kind in study.measurements[measurement].export],
    }


def _strain(place: Path) -> dict[str, Any]:
    """Pictures and numbers of displacement and strain."""
    from cdipipe.bragg.files import read_strain

    pictures = {
        "strain.png": "Amplitude, displacement and strain along Q in three planes through the crystal.",
        "strain_surface.png": "The surface, coloured a voxel beneath it by phase, displacement and strain.",
        "strain_details.png": "Strain in bulk and surface, facets with their mean strain, profiles through the middle.",
    }
    return {
        "pictures": [picture_of(place / name, caption) for name, caption in pictures.items()],
        "numbers": {name: f"{value:.5g}" for name, value in read_metrics(place / "strain.json").items()},
        "notes": read_strain(place / "strain.cxi").notes,
        "files": [place / "strain.cxi", place / "facets.tsv"],
    }


def _uncertainty(place: Path) -> dict[str, Any]:
    """Picture and numbers of the error bars."""
    return {
        "picture": picture_of(
            place / "uncertainty.png",
            "Half widths of the 90 % intervals of amplitude and phase, and spreads over counts and starts.",
        ),
        "numbers": {name: f"{value:.5g}" for name, value in read_metrics(place / "uncertainty.json").items()},
        "file": place / "uncertainty.cxi",
    }


def _resolution(place: Path) -> dict[str, Any]:
    """Picture and numbers of the resolution without a truth."""
    return {
        "picture": picture_of(
            place / "resolution.png",
            "Resolution without a truth: the estimate, what it is made of, the limit by counting noise, and the PRTF.",
        ),
        "numbers": {
            name: value if isinstance(value, str) else f"{value:.5g}"
            for name, value in read_metrics(place / "resolution.json").items()
        },
    }


def _tuning(place: Path) -> dict[str, Any]:
    """What a search for settings took, and the picture of what it tried."""
    from cdipipe.tuning.files import read_record

    record = read_record(place / "tuned.json")
    return {
        "picture": picture_of(place / "tuned.png", "Loss over every key; square: the default, ring: what was taken."),
        "verdict": record["verdict"],
        "rows": [
            (key, _plain(default), _plain(record["settings"].get(key, default)))
            for key, default in record["defaults"].items()
        ],
        "recipe": json.dumps(record["recipe"]),
    }


def _runs(result: Reconstruction, source: Reconstruction) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of the table of all runs, as ``source`` holds them; empty for stacks."""
    if source.stack in ("shots", "movie") or not source.run_scores:
        return [], []
    names = sorted(source.run_scores, key=lambda name: name != "seed")
    columns = [source.run_scores[name] for name in names]
    kept = set(result.recipe.get("mean_of_runs", [0]))
    rows = [
        [str(run), "yes" if run in kept else "no", *(f"{value:.6g}" for value in values)]
        for run, values in enumerate(zip(*columns, strict=True))
    ]
    return ["run", "kept", *names], rows


def _provenance(result: Reconstruction) -> dict[str, str]:
    record = {"recipe as run": json.dumps(result.recipe), "device": result.device, "backend": result.backend}
    if result.choice is not None:
        record |= {"chosen": str(result.choice.get("chosen", "")), "because": result.choice["because"]}
    if result.seconds is not None:
        record["seconds"] = f"{result.seconds:.2f}"
    return {key: text for key, text in (_flat(result.provenance) | record).items() if text}


def _flat(mapping: dict[str, Any], head: str = "") -> dict[str, str]:
    """Nested plain data as one level of text."""
    flat = {}
    for key, value in mapping.items():
        name = f"{head}{key}"
        flat.update(_flat(value, f"{name}: ") if isinstance(value, dict) else {name: _plain(value)})
    return flat


def _plain(value: Any) -> str:
    if isinstance(value, (list, tuple, np.ndarray)):
        return ", ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
