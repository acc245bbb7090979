# Error bars of single objects and volumes, unless a measurement says otherwise; those of a measurement are judged and
# drawn in one job, and small ones made in one: its command with one of the results and -o NAME/uncertainty.cxi makes
# that alone.
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


for NAME in STUDY.used():
    BARS = [pair for pair in STUDY.with_error_bars() if pair[0] == NAME]
    if not BARS:
        continue

    rule:
        name:
            f"judge_uncertainty.{NAME}"
        input:
            uncertainties=files_of(BARS, "uncertainty.cxi"),
            truth=truth_on(NAME),
        output:
            files_of(BARS, "uncertainty.json"),
        log:
            f"{OUT}/logs/{NAME}.uncertainty.evaluate.log",
        benchmark:
            f"{OUT}/benchmarks/{NAME}.uncertainty.evaluate.tsv"
        threads: 1
        params:
            folder=folder_of_measurement,
            truth=truth_option,
            code=code_of("evaluate"),
        shell:
            "cdipipe evaluate {input.uncertainties:q} {params.truth} -o {params.folder:q} > {log:q} 2>&1"

    rule:
        name:
            f"plot_uncertainty.{NAME}"
        input:
            files_of(BARS, "uncertainty.cxi"),
        output:
            [
                report(
                    f"{OUT}/{NAME}/{method}/uncertainty.png",
                    caption="../report/uncertainty.rst",
                    category=NAME,
                    labels={"figure": "error bars", "method": method},
                )
                for _, method in BARS
            ],
        log:
            f"{OUT}/logs/{NAME}.uncertainty.plot.log",
        benchmark:
            f"{OUT}/benchmarks/{NAME}.uncertainty.plot.tsv"
        threads: 1
        params:
            folder=folder_of_measurement,
            code=code_of("plot"),
        shell:
            "cdipipe plot {input:q} -o {params.folder:q} > {log:q} 2>&1"
