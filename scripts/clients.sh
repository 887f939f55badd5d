#!/bin/sh
# Makes an environment for each version of each vendor's client that tests/server/clients drives: .clients/NAME-VERSION.
# Arguments choose some of them by the beginning of their names: scripts/clients.sh pinecone. PYTHON is the interpreter.
set -eu
cd "$(dirname "$0")/.."

make_one() {
    folder=.clients/$(echo "$1" | sed 's/==/-/')
    [ -e "$folder/ready" ] && return
    echo "$folder"
    "${PYTHON:-python3}" -m venv --clear "$folder"
    case $1 in huggingface*) more=numpy ;; *) more= ;; esac  # what its own client asks for
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$1" $more
    touch "$folder/ready"
}

for client in \
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
