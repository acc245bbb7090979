# Reconstructions: every method on the measurements that the study pairs it with. Small ones of a measurement share a
# job, since starting takes longer than phasing; its command with one of the recipes and -o NAME/R.cxi makes that alone.
for MEASURED, METHODS in shared_jobs(STUDY):

    rule:
        name:
            f"reconstruct_several.{MEASURED}.{METHODS[0]}"
        input:
            measurement=f"{OUT}/{MEASURED}/M.cxi",
        output:
            files_of([(MEASURED, method) for method in METHODS], "R.cxi"),
        log:
            f"{OUT}/logs/{MEASURED}.{METHODS[0]}.reconstruct.log",
        benchmark:
            f"{OUT}/benchmarks/{MEASURED}.{METHODS[0]}.reconstruct.tsv"
        threads: STUDY.threads
        resources:
            device=DEVICE,
            gpu=GPU,
        params:
            device=STUDY.device,
            recipes=lambda wildcards, output: [f"--recipe={STUDY_FILE}::methods.{name}" for name in methods_of(output)],
            options=lambda wildcards, output: shlex.join(STUDY.options("reconstruct", *names_of(output[0]))),
            folder=lambda wildcards, input: os.path.dirname(input.measurement),
            content=lambda wildcards, output: [STUDY.methods[name] for name in methods_of(output)],
            code=lambda wildcards, output: [
                code_of_job(STUDY, "reconstruct", method=name) for name in methods_of(output)
            ],
        shell:
            "cdipipe reconstruct {input.measurement:q} {params.recipes:q} {params.options} "
            "--device {resources.device} -o {params.folder:q} > {log:q} 2>&1"

    workflow.ruleorder(f"reconstruct_several.{MEASURED}.{METHODS[0]}", "reconstruct_object")


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
        device=DEVICE,
        gpu=GPU,
    params:
        recipe=lambda wildcards, input: input.tuned or f"{STUDY_FILE}::methods.{wildcards.method}",
        options=options_of("reconstruct"),
        content=lambda wildcards: STUDY.methods[wildcards.method],
        device=STUDY.device,
        code=code_of("reconstruct"),
    shell:
        "cdipipe reconstruct {input.measurement:q} --recipe {params.recipe:q} {params.options} "
        "--device {resources.device} -o {output:q} > {log:q} 2>&1"


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
