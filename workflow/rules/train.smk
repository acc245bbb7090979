# Networks: each trained on a corpus of the study or on pairs of files. A training that is stopped goes on where it was:
# what that needs is in a folder of its own, since outputs of a job that failed are removed.
rule train_network:
    input:
        lambda wildcards: STUDY.samples_of(wildcards.network)[0],
    output:
        checkpoint=f"{OUT}/{{network}}/best.pt",
        curve=f"{OUT}/{{network}}/curve.tsv",
    log:
        f"{OUT}/logs/{{network}}.train.log",
    benchmark:
        f"{OUT}/benchmarks/{{network}}.train.tsv"
    threads: lambda wildcards: STUDY.threads * STUDY.networks[wildcards.network].devices
    resources:
        mem_mb=grows(8000),
        runtime=grows(1440),
        gpu=lambda wildcards: STUDY.networks[wildcards.network].devices * (STUDY.device == "cuda"),
    params:
        options=lambda wildcards: shlex.join(STUDY.networks[wildcards.network].options()),
        samples=lambda wildcards: shlex.join(STUDY.samples_of(wildcards.network)[1]),
        folder=f"{OUT}/{{network}}/run",
        device=STUDY.device,
        code=code_of("train"),
    shell:
        "cdipipe train {params.options} {params.samples} -o {params.folder} --device {params.device} "
        "--resume --rebuild > {log} 2>&1 && "
        "cp {params.folder}/best.pt {output.checkpoint} && cp {params.folder}/curve.tsv {output.curve}"


rule plot_trainings:
    input:
        [f"{OUT}/{network}/curve.tsv" for network in STUDY.trained()],
    output:
        report(f"{OUT}/tables/trainings.png", caption="../report/trainings.rst", category="Networks"),
    log:
        f"{OUT}/logs/trainings.log",
    benchmark:
        f"{OUT}/benchmarks/trainings.tsv"
    threads: 1
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    params:
        code=code_of("plot"),
    shell:
        "cdipipe plot {input} -o {output} > {log} 2>&1"


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
    resources:
        mem_mb=grows(1000),
        runtime=grows(10),
    params:
        code=code_of("plot"),
    shell:
        "cdipipe plot {input} -o {output} > {log} 2>&1"


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
    resources:
        mem_mb=grows(4000),
        runtime=grows(10),
    params:
        code=code_of("plot"),
    shell:
        "cdipipe plot {input.checkpoint} --measurement {input.measurement} -o {output} > {log} 2>&1"
