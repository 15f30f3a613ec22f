#!/bin/sh
# Make requirements/*.lock anew from pyproject.toml, for Python 3.11 to 3.13 on Linux, with hashes.
# uv resolves for all three Pythons at once; it comes from .venv or the PATH, else through pip into a throw-away folder.
# UPGRADE=1 takes the newest versions; without it only what pyproject.toml asks for changes.
set -eu
cd "$(dirname "$0")/.."
uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    echo "[lock] fetching uv"
    ./tools/python.sh -m pip install --quiet --disable-pip-version-check --no-deps --target "$folder" uv
    uv="$folder/bin/uv"
fi
# One version of each package for all Pythons (fewest), so that lint and tests see the same everywhere.
# Neither this machine's index settings nor comments with its paths may get into the files.
options="--quiet --fork-strategy fewest --no-config --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links"
echo "[lock] requirements/dev.lock"
"$uv" pip compile $options ${UPGRADE:+--upgrade} --all-extras pyproject.toml -o requirements/dev.lock
echo "[lock] requirements/demo.lock"
# Bound by dev.lock, so that the two never hold different versions.
"$uv" pip compile $options --upgrade -c requirements/dev.lock \
    --extra gateways --extra headless --extra lab --extra pacs --extra build pyproject.toml -o requirements/demo.lock
