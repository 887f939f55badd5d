#!/bin/sh
# Makes an environment for each version of each vendor's client that the tests of clients drive: .clients/NAME-VERSION.
# Arguments choose some of them by the beginning of their names: scripts/clients.sh pinecone. PYTHON is the interpreter.
set -eu
cd "$(dirname "$0")/.."

# eland pins torch 2.7.1, which is large, and transformers 4: it gets the torch of the tests' own environment instead.
make_eland() {
    tests=${PYTHON:-.venv/bin/python}
    "$tests" - "$("$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" <<'END'
import sys
from importlib.metadata import distribution
from pathlib import Path

torch = distribution("torch")
for top in {file.parts[0] for file in torch.files} - {"..", "__pycache__"}:
    (Path(sys.argv[1]) / top).symlink_to(Path(torch.locate_file(top)).resolve())
END
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps "$2"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check \
        "elasticsearch>=9,<10" "pandas<3" matplotlib "requests<3" tqdm \
        "sentence-transformers>=5,<6" "transformers[sentencepiece]<5"
    touch "$1/ready"
}

make_one() {
    folder=.clients/$(echo "$1" | sed 's/==/-/')
    [ -e "$folder/ready" ] && return
    echo "$folder"
    "${PYTHON:-python3}" -m venv --clear "$folder"
    case $1 in eland*) make_eland "$folder" "$1" && return ;; esac
    case $1 in  # what its own client asks for
        huggingface*) more=numpy ;;
        elasticsearch*) more=aiohttp ;;
        *) more= ;;
    esac
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$1" $more
    touch "$folder/ready"
}

for client in \
    elasticsearch==9.5.1 \
    elasticsearch==8.19.3 \
    langchain-elasticsearch==1.0.0 \
    eland==9.2.0 \
    huggingface-hub==2.4.0 \
    huggingface-hub==0.36.2 \
    langchain-openai==1.1.16 \
    openai==3.52.0 \
    openai==1.109.1 \
    pinecone==10.2.0 \
    pinecone==9.1.0 \
    pinecone==8.1.2 \
    pinecone==7.3.0 \
    langchain-sambanova==0.1.6 \
    langchain-sambanova==1.1.1
do
    [ $# -eq 0 ] && make_one "$client"
    for chosen in "$@"; do
        case $client in "$chosen"*) make_one "$client" ;; esac
    done
done
