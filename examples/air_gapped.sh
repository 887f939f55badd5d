#!/bin/sh
# A model onto a server that has no network, in both of Elasticsearch's ways, and ours:
#
#     examples/air_gapped.sh FOLDER
#
# FOLDER is a model folder as the hub has it (with vocab.txt or sentencepiece.bpe.model, which eland reads). The
# script starts a server of its own; eland is the unmodified one, from the environment that `scripts/clients.sh eland`
# makes (set ELAND to another environment's bin folder). Nothing is fetched.
set -eu
folder=$(cd "${1:?name a model folder}" && pwd)
here=$(cd "$(dirname "$0")/.." && pwd)
eland=${ELAND:-$here/.clients/eland-9.2.0/bin}
efive=${EFIVE:-efive}
work=$(mktemp -d)
export HF_HUB_OFFLINE=1
export EFIVE_HOME="$work/home"
export EFIVE_MODEL_REPOSITORY="file://$work/repository/"
mkdir -p "$work/repository"

$efive serve --port 0 2>"$work/log" &
server=$!
trap 'kill $server; wait $server 2>/dev/null || true; rm -rf "$work"' EXIT
until url=$(sed -n 's/.*efive: \(http:[^ ]*\).*/\1/p' "$work/log" | head -n 1) && [ -n "$url" ]; do
    kill -0 $server || { cat "$work/log"; exit 1; }
    sleep 0.2
done
until curl -fs "$url/health/ready" >/dev/null; do sleep 0.2; done
es=$url/es

echo "== eland: traced here, uploaded in parts"
"$eland/eland_import_hub_model" --hub-model-id "$folder" --task-type text_embedding --url "$es" \
    --es-model-id by-eland --start --ingest-prefix "passage: " --search-prefix "query: " 2>&1 | grep INFO

echo "== efive import-model: the same without torch"
$efive import-model "$folder" --url "$es" --id by-efive --start

echo "== a model repository: the same package in a folder, put by its name"
"$eland/python" - "$folder" "$work/repository" 2>"$work/tracing" <<'END'
import hashlib, json, pathlib, sys
from eland.ml.pytorch.transformers import TransformerModel

folder, repository = sys.argv[1], pathlib.Path(sys.argv[2])
model = TransformerModel(
    model_id=folder, task_type="text_embedding", es_version=(9, 2, 0), ingest_prefix="passage: ", search_prefix="query: "
)
script, config, vocabulary = model.save(str(repository))
content = pathlib.Path(script).rename(repository / "my-e5.pt").read_bytes()
pathlib.Path(vocabulary).rename(repository / "my-e5.vocab.json")
packed = {"packaged_model_id": "my-e5", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
packed |= {"vocabulary_file": "my-e5.vocab.json", "minimum_version": "11.0.0", **config.to_dict()}
(repository / "my-e5.metadata.json").write_text(json.dumps(packed))
END
curl -fsS -X PUT "$es/_ml/trained_models/.my-e5?wait_for_completion=true&filter_path=model_id,model_package" \
    -H 'content-type: application/json' -d '{"input":{"field_names":["text_field"]}}'
curl -fsS -X POST "$es/_ml/trained_models/.my-e5/deployment/_start?filter_path=assignment.assignment_state"

echo
echo "== the three agree"
for id in by-eland by-efive .my-e5; do
    curl -fsS -X POST "$es/_ml/trained_models/$id/_infer" -H 'content-type: application/json' \
        -d '{"docs":[{"text_field":"query: how does this work without a network?"}]}' >"$work/$id.json"
done
"$eland/python" - "$work"/by-eland.json "$work"/by-efive.json "$work"/.my-e5.json <<'END'
import json, sys
import numpy as np

found = [json.load(open(path))["inference_results"][0]["predicted_value"] for path in sys.argv[1:]]
cosines = np.array(found) @ np.array(found[0])
print("cosines with eland's:", *(f"{cosine:.6f}" for cosine in cosines))
sys.exit(0 if cosines.min() > 0.9999 else 1)
END
