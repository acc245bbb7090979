# Settings of the methods that say `tune`, chosen for each measurement. A job that is stopped goes on with its trials.
rule tune_method:
    input:
        measurement=f"{MEASUREMENT}/M.cxi",
        checkpoint=lambda wildcards: STUDY.checkpoint(wildcards.method) or [],
    output:
        recipe=f"{METHOD}/tuned.yaml",
        record=f"{METHOD}/tuned.json",
        picture=report(
            f"{METHOD}/tuned.png",
            caption="../report/tuning.rst",
            category="{measurement}",
            labels={"figure": "tuning", "method": "{method}"},
        ),
    log:
        f"{LOGS}.{{method}}.tune.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.tune.tsv"
    threads: STUDY.threads
    resources:
        device=DEVICE,
        gpu=GPU,
    params:
        recipe=lambda wildcards: f"{STUDY_FILE}::methods.{wildcards.method}",
        options=options_of("tune"),
        content=lambda wildcards: STUDY.methods[wildcards.method],
        device=STUDY.device,
        code=code_of("tune"),
    shell:
        "cdipipe tune {input.measurement:q} --recipe {params.recipe:q} {params.options} "
        "--device {resources.device} -o {output.recipe:q} "
        "--picture {output.picture:q} > {log:q} 2>&1"
