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
    resources:
        mem_mb=grows(8000),
        runtime=grows(30),
    params:
        truth=lambda wildcards, input: f"--truth {input.truth}" if input.truth else "",
        code=code_of("evaluate"),
    shell:
        "cdipipe evaluate {input.result} --measurement {input.measurement} {params.truth} --curves {output.curves} "
        "-o {output.metrics} > {log} 2>&1"


rule collect_metrics:
    input:
        results("metrics.json"),
    output:
        report(f"{OUT}/summary.tsv", caption="../report/summary.rst", category="Metrics"),
    log:
        f"{OUT}/logs/collect.log",
    benchmark:
        f"{OUT}/benchmarks/collect.tsv"
    threads: 1
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    params:
        code=code_of("collect"),
    shell:
        "cdipipe collect {input} -o {output} > {log} 2>&1"
