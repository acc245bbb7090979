# Measurements: simulated with their truth, or read from files.
rule simulate_measurement:
    input:
        lambda wildcards: notes_of(wildcards.measurement),
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
    params:
        options=options_of("simulate"),
        code=code_of("simulate"),
    shell:
        "cdipipe simulate {params.options} -o {output.measurement:q} --truth {output.truth:q} > {log:q} 2>&1"


localrules:  # compute nodes seldom reach the internet
    fetch_data,


rule fetch_data:
    output:
        f"{OUT}/data/{{dataset}}.txt",
    log:
        f"{OUT}/logs/fetch.{{dataset}}.log",
    benchmark:
        f"{OUT}/benchmarks/fetch.{{dataset}}.tsv"
    threads: 1
    params:
        code=code_of("fetch"),
    shell:
        "cdipipe fetch {wildcards.dataset} > {output:q} 2> {log:q}"


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
    params:
        options=options_of("import"),
        code=code_of("import"),
    shell:
        "cdipipe import {params.options} -o {output:q} > {log:q} 2>&1"
