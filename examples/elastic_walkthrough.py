"""Elastic's tutorial on semantic search, with Elastic's own client, against `efive serve`.

    efive serve &
    pip install 'elasticsearch>=9'
    python examples/elastic_walkthrough.py --url http://127.0.0.1:8080/es

It makes an inference endpoint, puts some hundred short passages in 18 languages into a plain index, moves them with
a reindex task into one whose field is semantic_text, and asks in other languages than the answers are written in.
The same lines run against Elasticsearch, with --model .multilingual-e5-small. What it made, it removes at the end.
"""

import json
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from elasticsearch import Elasticsearch, helpers
from elasticsearch.exceptions import GeneralAvailabilityWarning

HERE = Path(__file__).parent
ENDPOINT, PLAIN, SEMANTIC = "walkthrough-e5", "walkthrough-plain", "walkthrough-semantic"
QUESTIONS = (
    "How long does sunlight take to reach the earth?",
    "¿Qué hago si me sangra la nariz?",
    "安全なパスワードの作り方を教えてください。",
    "Come trovo il nord di notte guardando le stelle?",
    "Avrupa'da acil durumda hangi numara aranır?",
)
# Reading how a task stands is a technical preview of Elasticsearch, and its client says so each time.
warnings.simplefilter("ignore", GeneralAvailabilityWarning)


@click.command()
@click.option("--url", default="http://127.0.0.1:8080/es", show_default=True, help="Of the server, with its path.")
@click.option("--api-key", help="If the server asks for one.")
@click.option("--model", default="bundled", show_default=True, help="A trained model's id.")
def main(url: str, api_key: str | None, model: str) -> None:
    """Walk through it."""
    with Elasticsearch(url, api_key=api_key, request_timeout=60) as client:
        version = client.info()["version"]["number"]
        click.echo(f"Elasticsearch's API, {version}, at {url}")
        clean(client)
        try:
            make_endpoint(client, model)
            load(client)
            reindex(client)
            for question in QUESTIONS:
                ask(client, question)
            click.echo(
                f"\nThese were chosen to show what is possible. Of all in questions.jsonl, {score(client):.0%}\n"
                "have the right passage among the first three; models larger than the one in the package do better."
            )
        finally:
            clean(client)


def make_endpoint(client: Elasticsearch, model: str) -> None:
    """Make an inference endpoint, which starts a deployment of the model."""
    settings = {"model_id": model, "num_threads": 1, "num_allocations": 1}
    endpoint = client.inference.put(
        task_type="text_embedding",
        inference_id=ENDPOINT,
        inference_config={"service": "elasticsearch", "service_settings": settings},
    )
    click.echo(f"1. endpoint {endpoint['inference_id']}: {endpoint['service_settings']}")
    query = client.inference.text_embedding(inference_id=ENDPOINT, input="What is a tide?", input_type="search")
    click.echo(f"   a query's vector has {len(query['text_embedding'][0]['embedding'])} components")


def load(client: Elasticsearch) -> None:
    """Put the passages into an index of plain text."""
    client.indices.create(index=PLAIN, mappings={"properties": {"text": {"type": "text"}, "lang": {"type": "keyword"}}})
    done, _ = helpers.bulk(client, passages(), refresh=True)
    click.echo(f"2. {done} passages in {PLAIN}")


def passages() -> Iterator[dict[str, Any]]:
    """Yield the passages as actions of a bulk request."""
    for line in (HERE / "passages.jsonl").read_text(encoding="utf-8").splitlines():
        passage = json.loads(line)
        text = f"{passage['title']}\n{passage['text']}"
        yield {"_index": PLAIN, "_id": passage["id"], "lang": passage["lang"], "text": text}


def reindex(client: Elasticsearch) -> None:
    """Move them into an index whose field is semantic_text, as a task, and watch it."""
    text = {"type": "semantic_text", "inference_id": ENDPOINT}
    client.indices.create(index=SEMANTIC, mappings={"properties": {"text": text, "lang": {"type": "keyword"}}})
    source = {"index": PLAIN, "size": 50}
    task = client.reindex(source=source, dest={"index": SEMANTIC}, wait_for_completion=False)["task"]
    began = time.monotonic()
    while not (state := client.tasks.get(task_id=task))["completed"]:
        time.sleep(0.2)
    if "error" in state or state["response"]["failures"]:
        raise click.ClickException(f"reindex: {state.get('error') or state['response']['failures'][0]}")
    client.indices.refresh(index=SEMANTIC)
    count, took = client.count(index=SEMANTIC)["count"], time.monotonic() - began
    click.echo(f"3. {count} passages embedded into {SEMANTIC} by the task {task}, in {took:.1f} s")


def ask(client: Elasticsearch, question: str) -> None:
    """Ask by meaning, and show the best passage's best part."""
    found = client.search(
        index=SEMANTIC,
        query={"semantic": {"field": "text", "query": question}},
        highlight={"fields": {"text": {"type": "semantic", "number_of_fragments": 1}}},
        size=1,
    )
    (hit,) = found["hits"]["hits"]
    click.echo(f"\n{question}  ({found['took']} ms)")
    title, _, text = hit["highlight"]["text"][0].partition("\n")
    click.echo(f"   {hit['_score']:.3f} [{hit['_source']['lang']}] {title}: {text}")


def score(client: Elasticsearch) -> float:
    """Return the share of all questions whose answer is among the first three, by meaning."""
    questions = [json.loads(line) for line in (HERE / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    right = 0
    for each in questions:
        hits = client.search(
            index=SEMANTIC, query={"semantic": {"field": "text", "query": each["question"]}}, size=3, source=False
        )["hits"]["hits"]
        right += each["answer"] in [hit["_id"] for hit in hits]
    return right / len(questions)


def clean(client: Elasticsearch) -> None:
    """Remove what an earlier walk has left."""
    client.indices.delete(index=[PLAIN, SEMANTIC], ignore_unavailable=True)
    client.options(ignore_status=404).inference.delete(inference_id=ENDPOINT, force=True)


if __name__ == "__main__":
    main()
