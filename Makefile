# Everything runs in .venv, which the first command sets up; nothing outside this folder is changed.
CONFIG ?= config/quickstart.yaml
SCALE ?=
CORES ?= all
DEVICE ?=
GPUS ?=
PYTHON ?= python3
BENCH ?=
WORKERS ?= 2
VENV := .venv
# CUDA=1 brings nvcc, of the CUDA that torch is for, by pip and builds the CUDA kernels with it; it holds until CUDA=0
CUDA ?= $(if $(wildcard $(VENV)/.cdipipe-installed-cuda),1)
NVCC := cuda-toolkit[nvcc,cudart,crt]==13.0.*
STAMP := $(VENV)/.cdipipe-installed$(if $(filter 1,$(CUDA)),-cuda)
BUILD := pyproject.toml constraints.txt $(wildcard csrc/CMakeLists.txt csrc/*.cpp csrc/*/*)
# tells a build of the nvcc that pip brought
WITH_NVCC = toolkit=$$(echo $(abspath $(VENV))/lib/python3*/site-packages/nvidia/cu13) && CDIPIPE_CUDA=ON \
  CUDACXX=$$toolkit/bin/nvcc LIBRARY_PATH=$$toolkit/lib

# the modules that the guide's API page shows: their docstrings are checked
PUBLIC = $(foreach module,$(subst .,/,$(shell sed -n 's/^::: *//p' docs/api.md)),$(or $(wildcard $(module)/__init__.py),$(module).py))

export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)
export PYTHONNOUSERSITE := 1

.PHONY: run studies test pretended emulated install lint bench faults docs clean help
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):[^#]*## */\1\t/' | expand -t 10

$(STAMP): $(BUILD)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "cdipipe needs Python 3.11 or newer; name one with make PYTHON=python3.12 ..." >&2; exit 2; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(if $(filter 1,$(CUDA)),$(VENV)/bin/python -m pip install --quiet -c constraints.txt torch '$(NVCC)')
	$(if $(filter 1,$(CUDA)),$(WITH_NVCC)) $(VENV)/bin/python -m pip install --quiet -c constraints.txt -e '.[dev]'
	@rm -f $(VENV)/.cdipipe-installed*
	@touch $@
	@$(VENV)/bin/python -c 'from cdipipe.ops import backend; print(backend.what_was_built())'

install: $(STAMP) ## set up .venv, pinned by constraints.txt; CUDA=1 brings nvcc and builds the CUDA kernels

STUDY := $(if $(SCALE),results/$(basename $(notdir $(CONFIG)))-$(SCALE).yaml,$(CONFIG))

run: $(STAMP) ## run the workflow on CONFIG, perhaps at another SCALE of it or on another DEVICE, and print where the report is
	$(if $(SCALE),mkdir -p results && cdipipe config "$(CONFIG)" --scale $(SCALE) -o "$(STUDY)")
	$(if $(DEVICE),CDIPIPE_DEVICE=$(DEVICE)) snakemake --cores $(CORES) --workflow-profile workflow/profiles/local \
	  --resources gpu=$(or $(GPUS),$$(cdipipe doctor --gpus)) --configfile "$(STUDY)"
	@folder="$$(cdipipe config "$(STUDY)" --get output)"; \
	  case "$$folder" in /*) ;; *) folder="$$PWD/$$folder" ;; esac; printf 'Report: %s\n' "$$folder/report.html"

studies: $(STAMP) ## run every study of config/papers at scale tiny, each to its report
	@for study in $(wildcard config/papers/*.yaml); do \
	  $(MAKE) --no-print-directory run CONFIG="$$study" SCALE=tiny || exit 1; \
	done

test: $(STAMP) ## run the tests, each file in one of WORKERS processes
	OMP_NUM_THREADS=1 python -m pytest -n $(WORKERS) --dist loadfile

pretended: $(STAMP) ## run methods, networks and trainings on a CUDA device that is not there
	OMP_NUM_THREADS=1 python -m pytest -m pretended tests/pretended_cuda

emulated: $(STAMP) ## run the CUDA kernels on the CPU, in several orders of blocks and threads
	python tests/cuda_on_cpu/run.py

lint: $(STAMP) ## check style: Python, docstrings, Snakemake, C++
	ruff check .
	ruff format --check .
	numpydoc lint $(PUBLIC)
	snakefmt --check Snakefile workflow
	snakemake --lint --configfile config/quickstart.yaml
	mypy
	clang-format --dry-run -Werror $(shell find csrc tests -name '*.cpp' -o -name '*.h' -o -name '*.cu')

bench: $(STAMP) ## measure all that README and docs quote, into benchmarks/results; BENCH='speed gold' picks
	$(VENV)/bin/python -m pip install --quiet -c constraints.txt -e '.[bench]'
	python benchmarks/all.py $(BENCH)
	python benchmarks/draw.py
	python benchmarks/study_costs.py

faults: $(STAMP) ## 25 kills, 1000 damaged files, 2000 of odd structure, the report in Chromium; minutes to hours
	mkdir -p results/faults
	CDIPIPE_RECORD=$(CURDIR)/results/faults python -m pytest -m 'faults or browser' tests/faults tests/live
	python benchmarks/faults.py results/faults

docs: $(STAMP) ## build the site of the user guide into site/, strictly
	find docs/notebooks -mindepth 1 ! -name '*.ipynb' -delete
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict --quiet
	@echo "Site: $(CURDIR)/site/index.html"

clean: ## remove results and caches, keep .venv
	rm -rf results .snakemake site
