#!/usr/bin/env bash
# Runs the native engine's kernels on random models and texts under the address and undefined-behaviour sanitizers.
#
#     scripts/fuzz_native.sh [batches of each kind]
set -euo pipefail
cd "$(dirname "$0")/.."
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
cmake -S . -B "$build" -DEFIVE_FUZZ=ON >/dev/null
cmake --build "$build" --target fuzz
"$build/fuzz" "${1:-5}"
