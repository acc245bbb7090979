# Error bars of single objects and volumes, unless a measurement says otherwise.
rule estimate_uncertainty:
    input:
        result=RESULT,
        measurement=f"{MEASUREMENT}/M.cxi",
    output:
        f"{METHOD}/uncertainty.cxi",
    log:
        f"{LOGS}.{{method}}.uncertainty.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.uncertainty.tsv"
    threads: 1
    params:
        code=code_of("uncertainty"),
    shell:
        "cdipipe uncertainty {input.result:q} --measurement {input.measurement:q} -o {output:q} > {log:q} 2>&1"


rule judge_uncertainty:
    input:
        uncertainty=f"{METHOD}/uncertainty.cxi",
        truth=truth_of,
    output:
        f"{METHOD}/uncertainty.json",
    log:
        f"{LOGS}.{{method}}.uncertainty.evaluate.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.uncertainty.evaluate.tsv"
    threads: 1
    params:
        truth=truth_option,
        code=code_of("evaluate"),
    shell:
        "cdipipe evaluate {input.uncertainty:q} {params.truth} -o {output:q} > {log:q} 2>&1"


rule plot_uncertainty:
    input:
        f"{METHOD}/uncertainty.cxi",
    output:
        report(
            f"{METHOD}/uncertainty.png",
            caption="../report/uncertainty.rst",
            category="{measurement}",
            labels={"figure": "error bars", "method": "{method}"},
        ),
    log:
        f"{LOGS}.{{method}}.uncertainty.plot.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.uncertainty.plot.tsv"
    threads: 1
    params:
        code=code_of("plot"),
    shell:
        "cdipipe plot {input:q} -o {output:q} > {log:q} 2>&1"
