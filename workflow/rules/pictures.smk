# Pictures of measurements and of what was made of them.
rule plot_pattern:
    input:
        f"{MEASUREMENT}/M.cxi",
    output:
        report(
            f"{MEASUREMENT}/pattern.png",
            caption="../report/pattern.rst",
            category="{measurement}",
            labels={"figure": "pattern"},
        ),
    log:
        f"{LOGS}.plot.log",
    benchmark:
        f"{BENCHMARKS}.plot.tsv"
    threads: 1
    params:
        code=code_of("plot"),
    shell:
        "cdipipe plot {input:q} -o {output:q} > {log:q} 2>&1"


rule plot_reconstruction:
    input:
        result=RESULT,
        measurement=f"{MEASUREMENT}/M.cxi",
        truth=truth_of,
        curves=f"{METHOD}/curves.npz",
    output:
        object=report(
            f"{METHOD}/object.png",
            caption="../report/object.rst",
            category="{measurement}",
            labels={"figure": "object", "method": "{method}"},
        ),
        diagnostics=report(
            f"{METHOD}/diagnostics.png",
            caption="../report/diagnostics.rst",
            category="{measurement}",
            labels={"figure": "diagnostics", "method": "{method}"},
        ),
    log:
        f"{LOGS}.{{method}}.plot.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.plot.tsv"
    threads: 1
    params:
        truth=truth_option,
        code=code_of("plot"),
    shell:
        "cdipipe plot {input.result:q} --measurement {input.measurement:q} {params.truth} --curves {input.curves:q} "
        "--diagnostics {output.diagnostics:q} -o {output.object:q} > {log:q} 2>&1"


rule plot_movie:
    input:
        RESULT,
    output:
        report(
            f"{METHOD}/movie.gif",
            caption="../report/object.rst",
            category="{measurement}",
            labels={"figure": "movie", "method": "{method}"},
        ),
    log:
        f"{LOGS}.{{method}}.movie.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.movie.tsv"
    threads: 1
    params:
        code=code_of("plot"),
    shell:
        "cdipipe plot {input:q} -o {output:q} > {log:q} 2>&1"


rule compare_methods:
    input:
        results=lambda wildcards: results_on(wildcards.measurement, RESULT_NAME),
        curves=lambda wildcards: results_on(wildcards.measurement, "curves.npz"),
        truth=truth_of,
    output:
        objects=report(
            f"{MEASUREMENT}/comparison.png",
            caption="../report/comparison.rst",
            category="{measurement}",
            labels={"figure": "comparison"},
        ),
        resolution=report(
            f"{MEASUREMENT}/resolution.png",
            caption="../report/comparison.rst",
            category="{measurement}",
            labels={"figure": "resolution"},
        ),
    log:
        f"{LOGS}.compare.log",
    benchmark:
        f"{BENCHMARKS}.compare.tsv"
    threads: 1
    params:
        truth=truth_option,
        curves=lambda wildcards, input: shlex.join(f"--curves={path}" for path in input.curves),
        code=code_of("plot"),
    shell:
        "cdipipe plot {input.results:q} {params.truth} {params.curves} --diagnostics {output.resolution:q} "
        "-o {output.objects:q} > {log:q} 2>&1"
