#!/bin/sh
# What the environment that build.sh made needs at run time, and a look at whether it works: the second stage.
set -eu
: "${PREFIX:=/opt/cdipipe}"
export DEBIAN_FRONTEND=noninteractive

apt-get update
apt-get install --yes --no-install-recommends ca-certificates libgomp1 python3
rm -rf /var/lib/apt/lists/*
test_folder=$(mktemp -d)
cd "$test_folder"
"$PREFIX/bin/cdipipe" doctor
"$PREFIX/bin/cdipipe" simulate polygons --set size=32 -o M.cxi
"$PREFIX/bin/cdipipe" reconstruct M.cxi -m hio --set iterations=5 --device cpu -o R.cxi
cd /
rm -r "$test_folder"
