#!/bin/sh
# Builds cdipipe with the pinned versions into a virtual environment: the first stage of both container definitions.
# Run in a copy of the repository. CDIPIPE_CUDA: OFF, or ON where nvcc is. TORCH_INDEX: where torch for it lies.
set -eu
: "${CDIPIPE_CUDA:?ON or OFF}" "${TORCH_INDEX:?index of torch}" "${PREFIX:=/opt/cdipipe}"
export CDIPIPE_CUDA DEBIAN_FRONTEND=noninteractive PIP_DISABLE_PIP_VERSION_CHECK=1

apt-get update
apt-get install --yes --no-install-recommends build-essential ca-certificates python3-dev python3-venv
rm -rf /var/lib/apt/lists/*
find cdipipe -name "*.so" -delete  # of the computer that the copy is from
python3 -m venv "$PREFIX"
"$PREFIX/bin/python" -m pip install --no-cache-dir -c constraints.txt --extra-index-url "$TORCH_INDEX" '.[slurm,train]'
mkdir -p "$PREFIX/share"
cp -r Snakefile workflow config "$PREFIX/share/"
