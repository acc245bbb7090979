# The page that shows a whole study.
rule write_report:
    input:
        study=STUDY_FILE,
        summary=f"{OUT}/summary.tsv",
        metrics=f"{OUT}/metrics.png",
        patterns=expand("{out}/{measurement}/pattern.png", out=OUT, measurement=STUDY.used()),
        comparisons=expand(
            "{out}/{measurement}/{figure}.png",
            out=OUT,
            measurement=STUDY.compared(),
            figure=("comparison", "resolution"),
        ),
        tables=expand("{out}/tables/{name}.png", out=OUT, name=STUDY.drawn()),
        reconstructions=results("object.png", "diagnostics.png"),
        movies=files_of([pair for pair in STUDY.pairs() if STUDY.measurements[pair[0]].is_movie], "movie.gif"),
        strains=files_of(
            STUDY.strained(), "strain.json", "facets.tsv", "strain.png", "strain_details.png", "strain_surface.png"
        ),
        shots=[page for name in STUDY.with_shots() for page in results_on(name, "shots.html")],
        error_bars=files_of(STUDY.with_error_bars(), "uncertainty.json", "uncertainty.png"),
        resolutions=files_of(STUDY.with_resolution(), "resolution.json", "resolution.png"),
        tunings=files_of([pair for pair in STUDY.pairs() if pair[1] in STUDY.tunings], "tuned.json", "tuned.png"),
        corpora=expand("{out}/{corpus}/{name}", out=OUT, corpus=STUDY.built(), name=("corpus.json", "contact.png")),
        networks=expand(
            "{out}/{network}/{name}", out=OUT, network=STUDY.trained(), name=("best.pt", "curve.tsv", "curve.png")
        ),
        activations=[f"{OUT}/{network}/activations.png" for network in STUDY.trained() if STUDY.seen_by(network)],
        judged=expand(
            "{out}/{network}/{name}",
            out=OUT,
            network=STUDY.judged(),
            name=("judged.json", "judged/errors.png", "judged/extremes.png"),
        ),
        trainings=[f"{OUT}/tables/trainings.png"] if len(STUDY.trained()) > 1 else [],
        exports=[
            f"{OUT}/{measurement}/{method}/object.{kind}"
            for measurement, method in STUDY.pairs()
            for kind in STUDY.measurements[measurement].export
        ],
    output:
        f"{OUT}/report.html",
    log:
        f"{OUT}/logs/report.log",
    benchmark:
        f"{OUT}/benchmarks/report.tsv"
    group:
        "report"
    threads: 1
    params:
        code=code_of("report"),
    shell:
        "cdipipe report {input.study:q} -o {output:q} > {log:q} 2>&1"
