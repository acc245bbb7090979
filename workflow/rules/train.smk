# Networks: each trained on a corpus of the study or on pairs of files. A training that is stopped goes on where it was:
# what that needs is in a folder of its own, since outputs of a job that failed are removed.
rule train_network:
    input:
        lambda wildcards: STUDY.samples_of(wildcards.network)[0],
    output:
        checkpoint=f"{OUT}/{{network}}/best.pt",
        curve=f"{OUT}/{{network}}/curve.tsv",
        card=f"{OUT}/{{network}}/card.md",
    log:
        f"{OUT}/logs/{{network}}.train.log",
    benchmark:
        f"{OUT}/benchmarks/{{network}}.train.tsv"
    threads: lambda wildcards: STUDY.threads * STUDY.networks[wildcards.network].devices
    resources:
        device=DEVICE,
        gpu=lambda wildcards: STUDY.networks[wildcards.network].devices * GPU,
    params:
        options=lambda wildcards: shlex.join(STUDY.training_options(wildcards.network)),
        samples=lambda wildcards: shlex.join(STUDY.samples_of(wildcards.network)[1]),
        folder=lambda wildcards, output: os.path.join(os.path.dirname(output.checkpoint), "run"),
        device=STUDY.device,
        code=code_of("train"),
    shell:
        "cdipipe train {params.options} {params.samples} -o {params.folder:q} --device {resources.device} "
        "--resume --rebuild > {log:q} 2>&1 && "
        "cp {params.folder:q}/best.pt {output.checkpoint:q} && cp {params.folder:q}/curve.tsv {output.curve:q} && "
        "cp {params.folder:q}/card.md {output.card:q}"
