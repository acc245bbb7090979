# Pictures of a measurement and of all that was made of it, in one job.
for NAME in STUDY.used():

    rule:
        name:
            f"plot_measurement.{NAME}"
        input:
            measurement=f"{OUT}/{NAME}/M.cxi",
            results=results_on(NAME, RESULT_NAME),
            bars=error_bars_on(NAME, "uncertainty.cxi"),
            curves=results_on(NAME, "curves.npz"),
            truth=truth_on(NAME),
        output:
            pattern=report(
                f"{OUT}/{NAME}/pattern.png",
                caption="../report/pattern.rst",
                category=NAME,
                labels={"figure": "pattern"},
            ),
            comparison=[
                report(
                    f"{OUT}/{NAME}/{figure}.png",
                    caption="../report/comparison.rst",
                    category=NAME,
                    labels={"figure": figure},
                )
                for figure in ("comparison", "resolution")
                if NAME in STUDY.compared()
            ],
            objects=[
                report(
                    f"{OUT}/{NAME}/{method}/{figure}",
                    caption="../report/object.rst",
                    category=NAME,
                    labels={"figure": figure.split(".")[0], "method": method},
                )
                for measurement, method in STUDY.pairs()
                if measurement == NAME
                for figure in ("object.png", "diagnostics.png", "movie.gif")[: 2 + STUDY.measurements[NAME].is_movie]
            ],
            bars=[
                report(
                    f"{OUT}/{NAME}/{method}/uncertainty.png",
                    caption="../report/uncertainty.rst",
                    category=NAME,
                    labels={"figure": "error bars", "method": method},
                )
                for measurement, method in STUDY.with_error_bars()
                if measurement == NAME
            ],
        log:
            f"{OUT}/logs/{NAME}.plot.log",
        benchmark:
            f"{OUT}/benchmarks/{NAME}.plot.tsv"
        group:
            f"judge.{NAME}"
        threads: 1
        params:
            folder=lambda wildcards, input: os.path.dirname(input.measurement),
            truth=truth_option,
            code=code_of("plot"),
        shell:
            "cdipipe plot {input.measurement:q} {input.results:q} {input.bars:q} {params.truth} -o {params.folder:q} "
            "> {log:q} 2>&1"
