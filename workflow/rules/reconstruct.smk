rule reconstruct_object:
    input:
        measurement=f"{MEASUREMENT}/M.cxi",
        checkpoint=lambda wildcards: STUDY.checkpoint(wildcards.method) or [],
    output:
        f"{METHOD}/R.cxi",
    log:
        f"{LOGS}.{{method}}.reconstruct.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.reconstruct.tsv"
    threads: STUDY.threads
    resources:
        mem_mb=grows(8000),
        runtime=grows(240),
        gpu=int(STUDY.device == "cuda"),
    params:
        recipe=lambda wildcards: f"{STUDY_FILE}::methods.{wildcards.method}",
        options=options_of("reconstruct"),
        content=lambda wildcards: STUDY.methods[wildcards.method],
        code=code_of("reconstruct"),
    shell:
        "cdipipe reconstruct {input.measurement} --recipe {params.recipe} {params.options} -o {output} > {log} 2>&1"


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
    resources:
        mem_mb=grows(8000),
        runtime=grows(30),
    params:
        options=options_of("runs"),
        code=code_of("runs"),
    shell:
        "cdipipe runs {input} {params.options} -o {output} > {log} 2>&1"
