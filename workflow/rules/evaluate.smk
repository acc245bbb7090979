# Metrics: of each reconstruction, and all of them as one table and one picture.
rule evaluate_reconstruction:
    input:
        result=RESULT,
        measurement=f"{MEASUREMENT}/M.cxi",
        truth=truth_of,
    output:
        metrics=f"{METHOD}/metrics.json",
        curves=f"{METHOD}/curves.npz",
    log:
        f"{LOGS}.{{method}}.evaluate.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.evaluate.tsv"
    threads: 1
    params:
        truth=truth_option,
        code=code_of("evaluate"),
    shell:
        "cdipipe evaluate {input.result:q} --measurement {input.measurement:q} {params.truth} "
        "--curves {output.curves:q} -o {output.metrics:q} > {log:q} 2>&1"


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
    threads: 1
    params:
        code=code_of("plot"),
    shell:
        "cdipipe plot {input:q} -o {output:q} > {log:q} 2>&1"
