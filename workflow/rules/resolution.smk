# Resolution without a truth, of single objects and volumes whose measurement asks for it.
rule estimate_resolution:
    input:
        result=RESULT,
        measurement=f"{MEASUREMENT}/M.cxi",
        checkpoint=lambda wildcards: STUDY.checkpoint(wildcards.method) or [],
    output:
        numbers=f"{METHOD}/resolution.json",
        figure=report(
            f"{METHOD}/resolution.png",
            caption="../report/resolution.rst",
            category="{measurement}",
            labels={"figure": "resolution without a truth", "method": "{method}"},
        ),
    log:
        f"{LOGS}.{{method}}.resolution.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.resolution.tsv"
    threads: STUDY.threads
    resources:
        device=DEVICE,
        gpu=GPU,
    params:
        device=STUDY.device,
        code=code_of("resolution"),
    shell:
        "cdipipe resolution {input.result:q} --measurement {input.measurement:q} --device {resources.device} "
        "-o {output.numbers:q} --figure {output.figure:q} > {log:q} 2>&1"
