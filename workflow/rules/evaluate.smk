# Metrics: of all reconstructions and error bars of a measurement in one job, since starting takes longer than
# measuring; and all of them as one table and one picture.
for NAME in STUDY.used():

    rule:
        name:
            f"evaluate_measurement.{NAME}"
        input:
            results=results_on(NAME, RESULT_NAME),
            bars=error_bars_on(NAME, "uncertainty.cxi"),
            measurement=f"{OUT}/{NAME}/M.cxi",
            truth=truth_on(NAME),
        output:
            results_on(NAME, "metrics.json", "curves.npz"),
            error_bars_on(NAME, "uncertainty.json"),
        log:
            f"{OUT}/logs/{NAME}.evaluate.log",
        benchmark:
            f"{OUT}/benchmarks/{NAME}.evaluate.tsv"
        group:
            f"judge.{NAME}"
        threads: 1
        params:
            folder=lambda wildcards, input: os.path.dirname(input.measurement),
            truth=truth_option,
            code=code_of("evaluate"),
        shell:
            "cdipipe evaluate {input.results:q} {input.bars:q} --measurement {input.measurement:q} {params.truth} "
            "-o {params.folder:q} > {log:q} 2>&1"


rule collect_metrics:
    input:
        results("metrics.json"),
    output:
        report(
            f"{OUT}/summary.tsv",
            caption="../report/summary.rst",
            category="Metrics",
            labels={"figure": "all metrics as a table"},
        ),
    log:
        f"{OUT}/logs/collect.log",
    benchmark:
        f"{OUT}/benchmarks/collect.tsv"
    group:
        "report"
    threads: 1
    params:
        code=code_of("collect"),
    shell:
        "cdipipe collect {input:q} -o {output:q} > {log:q} 2>&1"


rule plot_metrics:
    input:
        results("metrics.json"),
    output:
        report(
            f"{OUT}/metrics.png",
            caption="../report/summary.rst",
            category="Metrics",
            labels={"figure": "all metrics"},
        ),
    log:
        f"{OUT}/logs/metrics.plot.log",
    benchmark:
        f"{OUT}/benchmarks/metrics.plot.tsv"
    group:
        "report"
    threads: 1
    params:
        code=code_of("plot"),
    shell:
        "cdipipe plot {input:q} -o {output:q} > {log:q} 2>&1"
