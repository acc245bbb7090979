# What is known of each shot of a stack: for all reconstructions of a measurement in one job.
for NAME in STUDY.with_shots():

    rule:
        name:
            f"list_shots.{NAME}"
        input:
            results=results_on(NAME, RESULT_NAME),
            measurement=f"{OUT}/{NAME}/M.cxi",
        output:
            results_on(NAME, "shots.tsv", "shots.html"),
        log:
            f"{OUT}/logs/{NAME}.shots.log",
        benchmark:
            f"{OUT}/benchmarks/{NAME}.shots.tsv"
        threads: 1
        params:
            folder=lambda wildcards, input: os.path.dirname(input.measurement),
            code=code_of("shots"),
        shell:
            "cdipipe shots {input.results:q} --measurement {input.measurement:q} -o {params.folder:q} > {log:q} 2>&1"
