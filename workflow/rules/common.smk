# Names of places and small helpers that the rules share. All files stand in quotes in shell commands: {input:q}.
import re
import shlex
import sys

from snakemake.settings.types import DeploymentMethod

from cdipipe.study import run as study_run
from cdipipe.study.code import code_of_job
from cdipipe.study.preflight import archives, check_before_first_job
from cdipipe.study.shared import shared_error_bars, shared_jobs
from cdipipe.study.tables import files_of_table

OUT = STUDY.output
MEASUREMENT = f"{OUT}/{{measurement}}"
METHOD = f"{OUT}/{{measurement}}/{{method}}"
RESULT_NAME = STUDY.result_name()
RESULT = f"{METHOD}/{RESULT_NAME}"
GPU = int(DEVICE == "cuda")
LOGS, BENCHMARKS = f"{OUT}/logs/{{measurement}}", f"{OUT}/benchmarks/{{measurement}}"


def or_stop(work, *arguments):
    """What a function of the study gives; bad input ends the workflow in one line."""
    try:
        return work(*arguments)
    except InputError as error:
        raise WorkflowError(str(error))


def any_of(names):
    """Regular expression for exactly these names."""
    return "|".join(map(re.escape, names)) or "(?!)"


def options_of(command):
    """The command-line options that the configuration gives to ``command``, as a function of the wildcards."""
    return lambda wildcards: shlex.join(STUDY.options(command, **wildcards))


def code_of(command):
    """Digest of the code that a job of ``command`` depends on, as a function of the wildcards."""
    return lambda wildcards: code_of_job(STUDY, command, **wildcards)


def truth_on(measurement):
    """The truth of a simulated measurement, nothing for a measured one."""
    return f"{OUT}/{measurement}/T.cxi" if measurement in STUDY.simulated() else []


def truth_of(wildcards):
    """The truth of the measurement of a job."""
    return truth_on(wildcards.measurement)


def truth_option(wildcards, input):
    """``--truth FILE`` where there is one."""
    return f"--truth {shlex.quote(input.truth)}" if input.truth else ""


def files_of(pairs, *names):
    """These files of some reconstructions, given as (measurement, method)."""
    return [f"{OUT}/{measurement}/{method}/{name}" for measurement, method in pairs for name in names]


def results(*names):
    """These files of every reconstruction."""
    return files_of(STUDY.pairs(), *names)


def results_on(measurement, *names):
    """These files of every reconstruction of one measurement."""
    return files_of([pair for pair in STUDY.pairs() if pair[0] == measurement], *names)


def names_of(result):
    """Measurement and method of the file of a reconstruction."""
    return result.split("/")[-3:-1]


def error_bars_on(measurement, name):
    """This file of every reconstruction of one measurement whose error bars are made."""
    return files_of([pair for pair in STUDY.with_error_bars() if pair[0] == measurement], name)


def folder_of_measurement(wildcards, output):
    """Folder of the measurement whose reconstructions a job judges or draws."""
    return os.path.dirname(os.path.dirname(output[0]))


def methods_of(results):
    """Methods of the files of some reconstructions."""
    return [names_of(result)[1] for result in results]


def notes_of(name):
    """Notes that the image archives of a scene are there."""
    return [f"{OUT}/data/{archive}.txt" for archive in or_stop(archives, STUDY, name)]


def shards_of(wildcards):
    """The shards of a corpus."""
    count = STUDY.corpora[wildcards.corpus].shards
    return [f"{OUT}/{wildcards.corpus}/shard-{number:04d}.json" for number in range(count)]


wildcard_constraints:
    corpus=any_of(STUDY.corpora),
    shard=r"\d+",
    network=any_of(STUDY.networks),
    measurement=any_of(STUDY.measurements),
    method=any_of(STUDY.methods),
    table=any_of(STUDY.tables),
    gallery=any_of(STUDY.galleries),
    curves=any_of(STUDY.curves),
    distribution=any_of(STUDY.distributions),
    sweep=any_of(STUDY.sweeps),


if workflow.is_main_process:
    or_stop(study_run.check_before_run, STUDY, STUDY_FILE)


onstart:
    global CLAIM  # until this process ends
    CLAIM = or_stop(study_run.claim_output, OUT)
    in_image = DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method
    or_stop(check_before_first_job, STUDY, DEVICE, workflow.local_exec, in_image)


onerror:
    print(study_run.explain_failure(OUT) or f"{OUT}: see the logs named above; what is done stays", file=sys.stderr)
