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
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        code=code_of("plot"),
    shell:
        "cdipipe plot {input} -o {output} > {log} 2>&1"


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
    resources:
        mem_mb=grows(4000),
        runtime=grows(10),
    params:
        truth=lambda wildcards, input: f"--truth {input.truth}" if input.truth else "",
        code=code_of("plot"),
    shell:
        "cdipipe plot {input.result} --measurement {input.measurement} {params.truth} --curves {input.curves} "
        "--diagnostics {output.diagnostics} -o {output.object} > {log} 2>&1"


rule plot_movie:
    input:
        RESULT,
    output:
        f"{METHOD}/movie.gif",
    log:
        f"{LOGS}.{{method}}.movie.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.movie.tsv"
    threads: 1
    resources:
        mem_mb=grows(4000),
        runtime=grows(10),
    params:
        code=code_of("plot"),
    shell:
        "cdipipe plot {input} -o {output} > {log} 2>&1"


rule compare_methods:
    input:
        results=lambda wildcards: [
            RESULT.format(measurement=measurement, method=method)
            for measurement, method in STUDY.pairs()
            if measurement == wildcards.measurement
        ],
        curves=lambda wildcards: [
            f"{OUT}/{measurement}/{method}/curves.npz"
            for measurement, method in STUDY.pairs()
            if measurement == wildcards.measurement
        ],
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
    resources:
        mem_mb=grows(4000),
        runtime=grows(10),
    params:
        truth=lambda wildcards, input: f"--truth {input.truth}" if input.truth else "",
        curves=lambda wildcards, input: shlex.join(f"--curves={path}" for path in input.curves),
        code=code_of("plot"),
    shell:
        "cdipipe plot {input.results} {params.truth} {params.curves} --diagnostics {output.resolution} "
        "-o {output.objects} > {log} 2>&1"


rule draw_table:
    input:
        study=STUDY_FILE,
        metrics=lambda wildcards: [
            f"{OUT}/{measurement}/{method}/metrics.json"
            for measurement, method in STUDY.pairs_of(STUDY.tables[wildcards.table])
        ],
    output:
        figure=report(
            f"{OUT}/tables/{{table}}.png",
            caption="../report/table.rst",
            category="Tables",
            labels={"figure": "{table}"},
        ),
        values=f"{OUT}/tables/{{table}}.tsv",
    log:
        f"{OUT}/logs/table.{{table}}.log",
    benchmark:
        f"{OUT}/benchmarks/table.{{table}}.tsv"
    wildcard_constraints:
        table=any_of(STUDY.tables),
    threads: 1
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    params:
        code=code_of("table"),
    shell:
        "cdipipe table {input.study} {wildcards.table} --values {output.values} -o {output.figure} > {log} 2>&1"


rule draw_gallery:
    input:
        study=STUDY_FILE,
        results=lambda wildcards: [
            RESULT.format(measurement=measurement, method=method)
            for measurement, method in STUDY.pairs_of(STUDY.galleries[wildcards.gallery])
        ],
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
    wildcard_constraints:
        gallery=any_of(STUDY.galleries),
    threads: 1
    resources:
        mem_mb=grows(4000),
        runtime=grows(10),
    params:
        code=code_of("table"),
    shell:
        "cdipipe table {input.study} {wildcards.gallery} -o {output} > {log} 2>&1"


rule draw_distribution:
    input:
        study=STUDY_FILE,
        found=lambda wildcards: [
            f"{OUT}/{measurement}/{method}/{name}"
            for measurement, method in STUDY.pairs_of(STUDY.distributions[wildcards.distribution])
            for name in ("metrics.json", "curves.npz", os.path.basename(RESULT))
        ],
    output:
        figure=report(
            f"{OUT}/tables/{{distribution}}.png",
            caption="../report/distribution.rst",
            category="Tables",
            labels={"figure": "{distribution}"},
        ),
        values=f"{OUT}/tables/{{distribution}}.tsv",
    log:
        f"{OUT}/logs/distribution.{{distribution}}.log",
    benchmark:
        f"{OUT}/benchmarks/distribution.{{distribution}}.tsv"
    wildcard_constraints:
        distribution=any_of(STUDY.distributions),
    threads: 1
    resources:
        mem_mb=grows(4000),
        runtime=grows(10),
    params:
        code=code_of("table"),
    shell:
        "cdipipe table {input.study} {wildcards.distribution} --values {output.values} -o {output.figure} > {log} 2>&1"


rule plot_metrics:
    input:
        results("metrics.json"),
    output:
        report(
            f"{OUT}/metrics.png",
            caption="../report/summary.rst",
            category="Metrics",
            labels={"figure": "all metrics"},
        ),
    log:
        f"{OUT}/logs/metrics.plot.log",
    benchmark:
        f"{OUT}/benchmarks/metrics.plot.tsv"
    threads: 1
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    params:
        code=code_of("plot"),
    shell:
        "cdipipe plot {input} -o {output} > {log} 2>&1"


rule export_object:
    input:
        RESULT,
    output:
        f"{METHOD}/object.{{kind}}",
    log:
        f"{LOGS}.{{method}}.export.{{kind}}.log",
    benchmark:
        f"{BENCHMARKS}.{{method}}.export.{{kind}}.tsv"
    wildcard_constraints:
        kind=any_of(STUDY.exports()),
    threads: 1
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        code=code_of("export"),
    shell:
        "cdipipe export {input} -o {output} > {log} 2>&1"


rule write_report:
    input:
        study=STUDY_FILE,
        summary=f"{OUT}/summary.tsv",
        metrics=f"{OUT}/metrics.png",
        patterns=[f"{OUT}/{measurement}/pattern.png" for measurement in STUDY.used()],
        comparisons=[
            f"{OUT}/{measurement}/{figure}.png"
            for measurement in STUDY.compared()
            for figure in ("comparison", "resolution")
        ],
        tables=[f"{OUT}/tables/{name}.png" for name in STUDY.drawn()],
        reconstructions=results("object.png", "diagnostics.png"),
        movies=[
            f"{OUT}/{pair[0]}/{pair[1]}/movie.gif" for pair in STUDY.pairs() if STUDY.measurements[pair[0]].is_movie
        ],
        corpora=[f"{OUT}/{corpus}/{name}" for corpus in STUDY.built() for name in ("corpus.json", "contact.png")],
        networks=[
            f"{OUT}/{network}/{name}" for network in STUDY.trained() for name in ("best.pt", "curve.tsv", "curve.png")
        ],
        activations=[f"{OUT}/{network}/activations.png" for network in STUDY.trained() if STUDY.seen_by(network)],
        trainings=[f"{OUT}/tables/trainings.png"] if len(STUDY.trained()) > 1 else [],
        exports=[
            f"{OUT}/{measurement}/{method}/object.{kind}"
            for measurement, method in STUDY.pairs()
            for kind in STUDY.measurements[measurement].export
        ],
    output:
        f"{OUT}/report.html",
    log:
        f"{OUT}/logs/report.log",
    benchmark:
        f"{OUT}/benchmarks/report.tsv"
    threads: 1
    resources:
        mem_mb=grows(2000),
        runtime=grows(10),
    params:
        code=code_of("report"),
    shell:
        "cdipipe report {input.study} -o {output} > {log} 2>&1"
