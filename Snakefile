# `snakemake --configfile FILE` in this folder runs a study; see config/README.md.
include: "workflow/study.smk"


rule all:
    input:
        f"{STUDY.output}/report.html",
