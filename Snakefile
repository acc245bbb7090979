# From measurements to a report. One file decides what runs: --configfile FILE (default: config/quickstart.yaml).
import os
from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from cdipipe.study.config import load_config
from cdipipe.errors import InputError

min_version("9.10")


container: "docker://python:3.11"


report: "workflow/report/workflow.rst"


if not workflow.overwrite_configfiles:

    configfile: "config/quickstart.yaml"


if len(workflow.configfiles) != 1 or workflow.config_settings.config:
    raise WorkflowError("one --configfile decides what runs, without --config; change a copy of it instead")
STUDY_FILE = os.path.relpath(workflow.configfiles[0])
try:
    STUDY = load_config(STUDY_FILE)
except (InputError, OSError) as error:
    raise WorkflowError(str(error))


for part in ("common", "measure", "corpus", "train", "reconstruct", "evaluate", "report"):

    include: f"workflow/rules/{part}.smk"


rule all:
    default_target: True
    input:
        f"{STUDY.output}/report.html",
