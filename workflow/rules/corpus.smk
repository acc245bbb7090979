# Corpora: shards side by side, then card and contact sheet. A shard that is stopped goes on where it was.
rule build_shard:
    input:
        lambda wildcards: notes_of(wildcards.corpus),
    output:
        f"{OUT}/{{corpus}}/shard-{{shard}}.json",
    log:
        f"{OUT}/logs/{{corpus}}.{{shard}}.log",
    benchmark:
        f"{OUT}/benchmarks/{{corpus}}.{{shard}}.tsv"
    threads: 1
    params:
        options=lambda wildcards: shlex.join(STUDY.corpora[wildcards.corpus].options()),
        folder=lambda wildcards, output: os.path.dirname(output[0]),
        shard=lambda wildcards: int(wildcards.shard),
        code=code_of("shard"),
    shell:
        "cdipipe corpus {params.options} -o {params.folder:q} --shard {params.shard} --rebuild > {log:q} 2>&1"


rule finish_corpus:
    input:
        shards_of,
    output:
        card=f"{OUT}/{{corpus}}/corpus.json",
        text=report(
            f"{OUT}/{{corpus}}/card.md",
            caption="../report/corpus.rst",
            category="Corpora",
            labels={"figure": "card", "corpus": "{corpus}"},
        ),
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
    params:
        options=lambda wildcards: shlex.join(STUDY.corpora[wildcards.corpus].options()),
        folder=lambda wildcards, output: os.path.dirname(output.card),
        code=code_of("corpus"),
    shell:
        "cdipipe corpus {params.options} -o {params.folder:q} --finish > {log:q} 2>&1"
