# Reconstructions: every method on the measurements that the study pairs it with.
rule reconstruct_object:
    input:
        measurement=f"{MEASUREMENT}/M.cxi",
        checkpoint=lambda wildcards: STUDY.checkpoint(wildcards.method) or [],
        tuned=lambda wildcards: f"{METHOD}/tuned.yaml" if wildcards.method in STUDY.tunings else [],
    output:
        f"{METHOD}/R.cxi",
    log:
        f"{LOGS}.{{method}}.reconstruct.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.reconstruct.tsv"
    threads: STUDY.threads
    resources:
        gpu=int(STUDY.device == "cuda"),
    params:
        recipe=lambda wildcards, input: input.tuned or f"{STUDY_FILE}::methods.{wildcards.method}",
        options=options_of("reconstruct"),
        content=lambda wildcards: STUDY.methods[wildcards.method],
        code=code_of("reconstruct"),
    shell:
        "cdipipe reconstruct {input.measurement:q} --recipe {params.recipe:q} {params.options} -o {output:q} "
        "> {log:q} 2>&1"


rule average_runs:
    input:
        f"{METHOD}/R.cxi",
    output:
        f"{METHOD}/mean.cxi",
    log:
        f"{LOGS}.{{method}}.runs.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.runs.tsv"
    threads: 1
    params:
        options=options_of("runs"),
        code=code_of("runs"),
    shell:
        "cdipipe runs {input:q} {params.options} -o {output:q} > {log:q} 2>&1"
