# Objects in formats of other programs, where a measurement asks for them.
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
    params:
        code=code_of("export"),
    shell:
        "cdipipe export {input:q} -o {output:q} > {log:q} 2>&1"
