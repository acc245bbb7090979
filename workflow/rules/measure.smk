rule simulate_measurement:
    output:
        measurement=f"{MEASUREMENT}/M.cxi",
        truth=f"{MEASUREMENT}/T.cxi",
    log:
        f"{LOGS}.simulate.log",
    benchmark:
        f"{BENCHMARKS}.simulate.tsv"
    wildcard_constraints:
        measurement=any_of(STUDY.simulated()),
    threads: 1
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    params:
        options=options_of("simulate"),
        code=code_of("simulate"),
    shell:
        "cdipipe simulate {params.options} -o {output.measurement} --truth {output.truth} > {log} 2>&1"


rule fetch_data:
    output:
        f"{OUT}/data/{{dataset}}.txt",
    log:
        f"{OUT}/logs/fetch.{{dataset}}.log",
    benchmark:
        f"{OUT}/benchmarks/fetch.{{dataset}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(1000),
        runtime=grows(60),
    params:
        code=code_of("fetch"),
    shell:
        "cdipipe fetch {wildcards.dataset} > {output} 2> {log}"


rule import_measurement:
    input:
        lambda wildcards: STUDY.sources(wildcards.measurement),
    output:
        f"{MEASUREMENT}/M.cxi",
    log:
        f"{LOGS}.import.log",
    benchmark:
        f"{BENCHMARKS}.import.tsv"
    wildcard_constraints:
        measurement=any_of(STUDY.imported()),
    threads: 1
    resources:
        mem_mb=grows(8000),
        runtime=grows(30),
    params:
        options=options_of("import"),
        code=code_of("import"),
    shell:
        "cdipipe import {params.options} -o {output} > {log} 2>&1"
