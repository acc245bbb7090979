# What a study asks for by name: tables, galleries, curves, distributions and sweeps.
rule draw_table:
    input:
        study=STUDY_FILE,
        metrics=lambda wildcards: files_of(
            STUDY.pairs_of(STUDY.tables[wildcards.table]), *files_of_table(STUDY.tables[wildcards.table])
        ),
    output:
        figure=report(
            f"{OUT}/tables/{{table}}.png",
            caption="../report/table.rst",
            category="Tables",
            labels={"figure": "{table}"},
        ),
        values=report(
            f"{OUT}/tables/{{table}}.tsv",
            caption="../report/table.rst",
            category="Tables",
            labels={"figure": "{table}, values"},
        ),
    log:
        f"{OUT}/logs/table.{{table}}.log",
    benchmark:
        f"{OUT}/benchmarks/table.{{table}}.tsv"
    group:
        "report"
    threads: 1
    params:
        code=code_of("table"),
    shell:
        "cdipipe table {input.study:q} {wildcards.table} --values {output.values:q} -o {output.figure:q} "
        "> {log:q} 2>&1"


rule draw_gallery:
    input:
        study=STUDY_FILE,
        results=lambda wildcards: files_of(STUDY.pairs_of(STUDY.galleries[wildcards.gallery]), RESULT_NAME),
    output:
        report(
            f"{OUT}/tables/{{gallery}}.png",
            caption="../report/table.rst",
            category="Tables",
            labels={"figure": "{gallery}"},
        ),
    log:
        f"{OUT}/logs/gallery.{{gallery}}.log",
    benchmark:
        f"{OUT}/benchmarks/gallery.{{gallery}}.tsv"
    group:
        "report"
    threads: 1
    params:
        code=code_of("table"),
    shell:
        "cdipipe table {input.study:q} {wildcards.gallery} -o {output:q} > {log:q} 2>&1"


rule draw_curves:
    input:
        study=STUDY_FILE,
        results=lambda wildcards: files_of(STUDY.pairs_of(STUDY.curves[wildcards.curves]), RESULT_NAME),
    output:
        figure=report(
            f"{OUT}/tables/{{curves}}.png",
            caption="../report/curves.rst",
            category="Tables",
            labels={"figure": "{curves}"},
        ),
        values=report(
            f"{OUT}/tables/{{curves}}.tsv",
            caption="../report/curves.rst",
            category="Tables",
            labels={"figure": "{curves}, values"},
        ),
    log:
        f"{OUT}/logs/curves.{{curves}}.log",
    benchmark:
        f"{OUT}/benchmarks/curves.{{curves}}.tsv"
    group:
        "report"
    threads: 1
    params:
        code=code_of("table"),
    shell:
        "cdipipe table {input.study:q} {wildcards.curves} --values {output.values:q} -o {output.figure:q} "
        "> {log:q} 2>&1"


rule draw_distribution:
    input:
        study=STUDY_FILE,
        found=lambda wildcards: files_of(
            STUDY.pairs_of(STUDY.distributions[wildcards.distribution]), "metrics.json", "curves.npz", RESULT_NAME
        ),
    output:
        figure=report(
            f"{OUT}/tables/{{distribution}}.png",
            caption="../report/distribution.rst",
            category="Tables",
            labels={"figure": "{distribution}"},
        ),
        values=report(
            f"{OUT}/tables/{{distribution}}.tsv",
            caption="../report/distribution.rst",
            category="Tables",
            labels={"figure": "{distribution}, values"},
        ),
    log:
        f"{OUT}/logs/distribution.{{distribution}}.log",
    benchmark:
        f"{OUT}/benchmarks/distribution.{{distribution}}.tsv"
    group:
        "report"
    threads: 1
    params:
        code=code_of("table"),
    shell:
        "cdipipe table {input.study:q} {wildcards.distribution} --values {output.values:q} -o {output.figure:q} "
        "> {log:q} 2>&1"


rule draw_sweep:
    input:
        study=STUDY_FILE,
        metrics=lambda wildcards: files_of(STUDY.pairs_of(STUDY.sweeps[wildcards.sweep]), "metrics.json"),
    output:
        figure=report(
            f"{OUT}/tables/{{sweep}}.png",
            caption="../report/sweep.rst",
            category="Tables",
            labels={"figure": "{sweep}"},
        ),
        values=report(
            f"{OUT}/tables/{{sweep}}.tsv",
            caption="../report/sweep.rst",
            category="Tables",
            labels={"figure": "{sweep}, values"},
        ),
    log:
        f"{OUT}/logs/sweep.{{sweep}}.log",
    benchmark:
        f"{OUT}/benchmarks/sweep.{{sweep}}.tsv"
    group:
        "report"
    threads: 1
    params:
        code=code_of("table"),
    shell:
        "cdipipe table {input.study:q} {wildcards.sweep} --values {output.values:q} -o {output.figure:q} "
        "> {log:q} 2>&1"
