# Error bars of single objects and volumes, unless a measurement says otherwise. Small ones of a measurement share a job:
# its command with one of the results and -o NAME/uncertainty.cxi makes that alone.
for MEASURED, METHODS in shared_error_bars(STUDY):

    rule:
        name:
            f"estimate_uncertainties.{MEASURED}.{METHODS[0]}"
        input:
            results=files_of([(MEASURED, method) for method in METHODS], RESULT_NAME),
            measurement=f"{OUT}/{MEASURED}/M.cxi",
        output:
            files_of([(MEASURED, method) for method in METHODS], "uncertainty.cxi"),
        log:
            f"{OUT}/logs/{MEASURED}.{METHODS[0]}.uncertainty.log",
        benchmark:
            f"{OUT}/benchmarks/{MEASURED}.{METHODS[0]}.uncertainty.tsv"
        threads: 1
        params:
            folder=folder_of_measurement,
            code=code_of("uncertainty"),
        shell:
            "cdipipe uncertainty {input.results:q} --measurement {input.measurement:q} -o {params.folder:q} "
            "> {log:q} 2>&1"

    workflow.ruleorder(f"estimate_uncertainties.{MEASURED}.{METHODS[0]}", "estimate_uncertainty")


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
