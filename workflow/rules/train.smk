# Networks: each trained on a corpus of the study. A training that is stopped goes on where it was: what that needs is in a
# folder of its own, since outputs of a job that failed are removed.
rule train_network:
    input:
        lambda wildcards: f"{OUT}/{STUDY.networks[wildcards.network].corpus}/corpus.json",
    output:
        checkpoint=f"{OUT}/{{network}}/best.pt",
        curve=f"{OUT}/{{network}}/curve.tsv",
    log:
        f"{OUT}/logs/{{network}}.train.log",
    benchmark:
        f"{OUT}/benchmarks/{{network}}.train.tsv"
    threads: STUDY.threads
    resources:
        mem_mb=8000,
        runtime=1440,
    params:
        options=lambda wildcards: shlex.join(STUDY.networks[wildcards.network].options()),
        corpus=lambda wildcards: f"{OUT}/{STUDY.networks[wildcards.network].corpus}",
        folder=f"{OUT}/{{network}}/run",
        device=STUDY.device,
        code=code_digest("training", "networks", "simulate", "optics"),
    shell:
        "cdipipe train {params.options} --corpus {params.corpus} -o {params.folder} --device {params.device} "
        "--resume --rebuild > {log} 2>&1 && "
        "cp {params.folder}/best.pt {output.checkpoint} && cp {params.folder}/curve.tsv {output.curve}"
