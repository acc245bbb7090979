# Corpora: shards side by side, then card and contact sheet. A shard that is stopped goes on where it was.
rule build_shard:
    output:
        f"{OUT}/{{corpus}}/shard-{{shard}}.json",
    log:
        f"{OUT}/logs/{{corpus}}.{{shard}}.log",
    benchmark:
        f"{OUT}/benchmarks/{{corpus}}.{{shard}}.tsv"
    threads: 1
    resources:
        mem_mb=grows(2000),
        runtime=grows(240),
    params:
        options=lambda wildcards: shlex.join(STUDY.corpora[wildcards.corpus].options()),
        folder=f"{OUT}/{{corpus}}",
        shard=lambda wildcards: int(wildcards.shard),
        code=code_of("shard"),
    shell:
        "cdipipe corpus {params.options} -o {params.folder} --shard {params.shard} --rebuild > {log} 2>&1"


rule finish_corpus:
    input:
        lambda wildcards: [f"{OUT}/{wildcards.corpus}/shard-{n}.json" for n in shard_numbers(wildcards.corpus)],
    output:
        card=f"{OUT}/{{corpus}}/corpus.json",
        text=f"{OUT}/{{corpus}}/card.md",
        sheet=report(
            f"{OUT}/{{corpus}}/contact.png",
            caption="../report/corpus.rst",
            category="Corpora",
            labels={"figure": "contact sheet", "corpus": "{corpus}"},
        ),
    log:
        f"{OUT}/logs/{{corpus}}.finish.log",
    benchmark:
        f"{OUT}/benchmarks/{{corpus}}.finish.tsv"
    threads: 1
    resources:
        mem_mb=grows(2000),
        runtime=grows(30),
    params:
        options=lambda wildcards: shlex.join(STUDY.corpora[wildcards.corpus].options()),
        folder=f"{OUT}/{{corpus}}",
        code=code_of("corpus"),
    shell:
        "cdipipe corpus {params.options} -o {params.folder} --finish > {log} 2>&1"
