#!/usr/bin/env bash
# Create the peers' environments under .peers/: setup.sh [current] [legacy] [infinity]   (default: all three)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
peers=$(cd "$here/../.." && pwd)/.peers
python=${PYTHON:-python3.11}
# A CPU build of PyTorch, first, so that no requirement pulls in another.
torch=${TORCH:-torch==2.13.0}

[ $# -gt 0 ] || set -- current legacy infinity
mkdir -p "$peers"
for name in "$@"; do
    echo "== $name"
    [ -x "$peers/$name/bin/python" ] || "$python" -m venv "$peers/$name"
    "$peers/$name/bin/pip" install --quiet "$torch"
    "$peers/$name/bin/pip" install --quiet "$torch" -r "$here/requirements-$name.txt"
done
