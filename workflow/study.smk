# From measurements to a report. One file decides what runs: --configfile FILE (default: config/quickstart.yaml).
import os
from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

from cdipipe.errors import InputError
from cdipipe.study.config import load_config
from cdipipe.study.run import device_of_run

min_version("9.10")


# With --software-deployment-method apptainer jobs run in this image; see containers/cdipipe.def.
container: "containers/cdipipe.sif"


report: "report/workflow.rst"


if not workflow.overwrite_configfiles:

    configfile: "config/quickstart.yaml"


if len(workflow.configfiles) != 1 or workflow.config_settings.config:
    raise WorkflowError("one --configfile decides what runs, without --config; change a copy of it instead")
STUDY_FILE = os.path.relpath(workflow.configfiles[0])
try:
    STUDY = load_config(STUDY_FILE)
    DEVICE = device_of_run(STUDY.device)
except (InputError, OSError) as error:
    raise WorkflowError(str(error))


# The device of all jobs, which is told to each, wherever it runs.
envvars:
    "CDIPIPE_DEVICE",


include: "rules/common.smk"
include: "rules/measure.smk"
include: "rules/corpus.smk"
include: "rules/train.smk"
include: "rules/tune.smk"
include: "rules/reconstruct.smk"
include: "rules/evaluate.smk"
include: "rules/shots.smk"
include: "rules/strain.smk"
include: "rules/uncertainty.smk"
include: "rules/resolution.smk"
include: "rules/pictures.smk"
include: "rules/networks.smk"
include: "rules/tables.smk"
include: "rules/export.smk"
include: "rules/report.smk"
