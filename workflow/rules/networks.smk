# Pictures of trainings and of what networks see.
rule plot_trainings:
    input:
        [f"{OUT}/{network}/curve.tsv" for network in STUDY.trained()],
    output:
        report(
            f"{OUT}/tables/trainings.png",
            caption="../report/trainings.rst",
            category="Networks",
            labels={"network": "all", "figure": "training"},
        ),
    log:
        f"{OUT}/logs/trainings.log",
    benchmark:
        f"{OUT}/benchmarks/trainings.tsv"
    threads: 1
    params:
        code=code_of("plot"),
    shell:
        "cdipipe plot {input:q} -o {output:q} > {log:q} 2>&1"


rule plot_training:
    input:
        f"{OUT}/{{network}}/curve.tsv",
    output:
        report(
            f"{OUT}/{{network}}/curve.png",
            caption="../report/trainings.rst",
            category="Networks",
            labels={"network": "{network}", "figure": "training"},
        ),
    log:
        f"{OUT}/logs/{{network}}.curve.log",
    benchmark:
        f"{OUT}/benchmarks/{{network}}.curve.tsv"
    threads: 1
    params:
        code=code_of("plot"),
    shell:
        "cdipipe plot {input:q} -o {output:q} > {log:q} 2>&1"


rule judge_network:
    input:
        checkpoint=f"{OUT}/{{network}}/best.pt",
        corpus=lambda wildcards: f"{OUT}/{STUDY.networks[wildcards.network].judge}/corpus.json",
    output:
        numbers=f"{OUT}/{{network}}/judged.json",
        errors=report(
            f"{OUT}/{{network}}/judged/errors.png",
            caption="../report/judged.rst",
            category="Networks",
            labels={"network": "{network}", "figure": "errors on unseen samples"},
        ),
        extremes=report(
            f"{OUT}/{{network}}/judged/extremes.png",
            caption="../report/judged.rst",
            category="Networks",
            labels={"network": "{network}", "figure": "worst and best unseen samples"},
        ),
    log:
        f"{OUT}/logs/{{network}}.judged.log",
    benchmark:
        f"{OUT}/benchmarks/{{network}}.judged.tsv"
    threads: lambda wildcards: STUDY.threads
    resources:
        gpu=STUDY.device == "cuda",
    params:
        corpus=lambda wildcards, input: os.path.dirname(input.corpus),
        figures=lambda wildcards, output: os.path.dirname(output.errors),
        device=STUDY.device,
        code=code_of("judge"),
    shell:
        "cdipipe evaluate {input.checkpoint:q} --corpus {params.corpus:q} -o {output.numbers:q} "
        "--figures {params.figures:q} --device {params.device} > {log:q} 2>&1"


rule plot_activations:
    input:
        checkpoint=f"{OUT}/{{network}}/best.pt",
        measurement=lambda wildcards: f"{OUT}/{STUDY.seen_by(wildcards.network)}/M.cxi",
    output:
        report(
            f"{OUT}/{{network}}/activations.png",
            caption="../report/activations.rst",
            category="Networks",
            labels={"network": "{network}", "figure": "activation maps"},
        ),
    log:
        f"{OUT}/logs/{{network}}.activations.log",
    benchmark:
        f"{OUT}/benchmarks/{{network}}.activations.tsv"
    threads: 1
    params:
        code=code_of("plot"),
    shell:
        "cdipipe plot {input.checkpoint:q} --measurement {input.measurement:q} -o {output:q} > {log:q} 2>&1"
