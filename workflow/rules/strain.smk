# Displacement and strain of rocking curves, where a measurement asks for them.
rule analyse_strain:
    input:
        RESULT,
    output:
        strain=f"{METHOD}/strain.cxi",
        facets=f"{METHOD}/facets.tsv",
    log:
        f"{LOGS}.{{method}}.strain.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.strain.tsv"
    threads: 1
    params:
        options=options_of("strain"),
        code=code_of("strain"),
    shell:
        "cdipipe strain {input:q} {params.options} --facets {output.facets:q} -o {output.strain:q} > {log:q} 2>&1"


rule judge_strain:
    input:
        strain=f"{METHOD}/strain.cxi",
        truth=truth_of,
    output:
        f"{METHOD}/strain.json",
    log:
        f"{LOGS}.{{method}}.strain.evaluate.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.strain.evaluate.tsv"
    threads: 1
    params:
        truth=truth_option,
        code=code_of("evaluate"),
    shell:
        "cdipipe evaluate {input.strain:q} {params.truth} -o {output:q} > {log:q} 2>&1"


rule plot_strain:
    input:
        f"{METHOD}/strain.cxi",
    output:
        slices=report(
            f"{METHOD}/strain.png",
            caption="../report/strain.rst",
            category="{measurement}",
            labels={"figure": "strain", "method": "{method}"},
        ),
        details=report(
            f"{METHOD}/strain_details.png",
            caption="../report/strain.rst",
            category="{measurement}",
            labels={"figure": "strain, details", "method": "{method}"},
        ),
        surface=report(
            f"{METHOD}/strain_surface.png",
            caption="../report/strain.rst",
            category="{measurement}",
            labels={"figure": "strain, surface", "method": "{method}"},
        ),
    log:
        f"{LOGS}.{{method}}.strain.plot.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.strain.plot.tsv"
    threads: 1
    params:
        code=code_of("plot"),
    shell:
        "cdipipe plot {input:q} -o {output.slices:q} --diagnostics {output.details:q} --surface {output.surface:q} "
        "> {log:q} 2>&1"
