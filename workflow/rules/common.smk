# Names of places and small helpers that the rules share.
import re
import shlex
import sys

from cdipipe.study import run as study_run
from cdipipe.study.code import code_of_job

OUT = STUDY.output
if workflow.is_main_process:
    try:
        study_run.check(STUDY, STUDY_FILE)
    except InputError as error:
        raise WorkflowError(str(error))
    RUNNING = study_run.hold(OUT)  # until this process ends
MEASUREMENT = f"{OUT}/{{measurement}}"
METHOD = f"{OUT}/{{measurement}}/{{method}}"
RESULT = f"{METHOD}/{STUDY.result_name()}"
LOGS, BENCHMARKS = f"{OUT}/logs/{{measurement}}", f"{OUT}/benchmarks/{{measurement}}"


def grows(amount):
    """So much at the first attempt, twice and three times as much at the next ones."""
    return lambda wildcards, attempt: amount * attempt


def any_of(names):
    """Regular expression for exactly these names."""
    return "|".join(map(re.escape, names)) or "(?!)"


def options_of(command):
    """The command-line options that the configuration gives to ``command``, as a function of the wildcards."""
    return lambda wildcards: shlex.join(STUDY.options(command, **wildcards))


def code_of(command):
    """Digest of the code that a job of ``command`` depends on, as a function of the wildcards."""
    return lambda wildcards: code_of_job(STUDY, command, **wildcards)


def truth_of(wildcards):
    """The truth of a simulated measurement, nothing for a measured one."""
    return f"{OUT}/{wildcards.measurement}/T.cxi" if wildcards.measurement in STUDY.simulated() else []


def results(*names):
    """These files of every reconstruction."""
    return [f"{OUT}/{measurement}/{method}/{name}" for measurement, method in STUDY.pairs() for name in names]


def shard_numbers(corpus):
    """The numbers of a corpus's shards as its files have them."""
    return [f"{shard:04d}" for shard in range(STUDY.corpora[corpus].shards)]


wildcard_constraints:
    corpus=any_of(STUDY.corpora),
    shard=r"\d+",
    network=any_of(STUDY.networks),
    measurement=any_of(STUDY.measurements),
    method=any_of(STUDY.methods),


onerror:
    print(study_run.trouble(OUT) or f"{OUT}: see the logs named above; what is done stays done", file=sys.stderr)
