"""What to paste into a client to use a deployment of this server: ready to run."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import dedent

TEXT = "how long do cats sleep"
_VARIABLE = "EFIVE_KEY"
_ENDPOINT_VARIABLE = "ENDPOINT_KEY"


@dataclass(frozen=True, slots=True)
class Snippet:
    """A few lines for one client."""

    client: str
    language: str
    """`bash` or `python`."""
    code: str
    note: str = ""
    """What to know before, in a sentence."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the lines are about."""

    server: str
    """The server's address, as the browser has it."""
    name: str
    """The deployment's."""
    keys: bool = False
    """Whether requests need a key."""
    default: str = ""
    """The deployment that answers requests which name none."""


def snippets(target: Target) -> list[Snippet]:
    """Return lines for each client that can use a deployment."""
    return [
        _curl(target),
        _openai(target),
        _langchain(target),
        _pinecone(target),
        _elasticsearch(target),
        _tei(target),
        _tei_curl(target),
    ]


def _curl(target: Target) -> Snippet:
    body = {"model": target.name, "role": "query", "texts": [TEXT]}
    return Snippet("curl", "bash", _post(f"{target.server}/embed", body, target), _note(target))


def _openai(target: Target) -> Snippet:
    code = f"""
        from openai import OpenAI

        client = OpenAI(base_url={_text(target.server + "/openai/v1")}, api_key={_key(target)})
        answer = client.embeddings.create(model={_text(target.name + ":query")}, input=[{_text(TEXT)}])
        print(answer.data[0].embedding[:4])
    """
    note = "The model's name says what texts are for: :query, :passage or :raw."
    return Snippet("openai", "python", _python(code, target), note)


def _langchain(target: Target) -> Snippet:
    code = f"""
        from langchain_openai import OpenAIEmbeddings

        embeddings = OpenAIEmbeddings(
            base_url={_text(target.server + "/openai/v1")},
            api_key={_key(target)},
            model={_text(target.name + ":query")},
            check_embedding_ctx_length=False,
        )
        print(embeddings.embed_query({_text(TEXT)})[:4])
    """
    note = "Without check_embedding_ctx_length=False it sends token ids of OpenAI's tokenizer, which are refused."
    return Snippet("langchain-openai", "python", _python(code, target), note)


def _pinecone(target: Target) -> Snippet:
    code = f"""
        from pinecone import Pinecone

        client = Pinecone(api_key={_key(target)}, host={_text(target.server + "/pinecone")})
        answer = client.inference.embed(
            model={_text(target.name)},
            inputs=[{_text(TEXT)}],
            parameters={{"input_type": "query"}},
        )
        print(answer.data[0]["values"][:4])
    """
    return Snippet("pinecone", "python", _python(code, target))


def _elasticsearch(target: Target) -> Snippet:
    key = f", api_key={_key(target)}" if target.keys else ""
    inference = "efive-" + "".join(c if c.isalnum() else "-" for c in target.name.lower())
    code = f"""
        from elasticsearch import Elasticsearch

        client = Elasticsearch({_text(target.server + "/es")}{key})
        client.inference.put(  # once
            task_type="text_embedding",
            inference_id={_text(inference)},
            inference_config={{
                "service": "elasticsearch",
                "service_settings": {{"deployment_id": {_text(target.name)}}},
            }},
        )
        answer = client.inference.text_embedding(
            inference_id={_text(inference)},
            input=[{_text(TEXT)}],
            input_type="search",
        )
        print(answer["text_embedding"][0]["embedding"][:4])
    """
    note = f"Fields of the type semantic_text then name {inference} as their inference_id."
    return Snippet("elasticsearch", "python", _python(code, target), note)


def _tei(target: Target) -> Snippet:
    token = f", token={_key(target)}" if target.keys else ""
    code = f"""
        from huggingface_hub import InferenceClient

        client = InferenceClient(model={_text(target.server + "/tei")}{token})
        print(client.feature_extraction({_text(TEXT)}, prompt_name="query")[0][:4])
    """
    note = "" if target.default in {"", target.name} else _one_model(target)
    return Snippet("TEI, huggingface_hub", "python", _python(code, target), note)


def _tei_curl(target: Target) -> Snippet:
    body = {"inputs": [TEXT], "prompt_name": "query", "model": target.name}
    note = "TEI's own clients name no model; here they may."
    return Snippet("TEI, curl", "bash", _post(f"{target.server}/tei/embed", body, target), note)


def endpoint_snippets(url: str) -> list[Snippet]:
    """Return lines for an endpoint of SambaStudio's form.

    Args:
        url: of its predictions in the generic form.
    """
    body = json.dumps({"instances": [f"query: {TEXT}"]})
    curl = " \\\n  ".join(
        [
            f"curl {shlex.quote(url)}",
            "-H 'content-type: application/json'",
            f'-H "key: ${_ENDPOINT_VARIABLE}"',
            f"-d {shlex.quote(body)}",
        ]
    )
    python = f"""
        import os

        from langchain_sambanova import SambaStudioEmbeddings

        embeddings = SambaStudioEmbeddings(
            sambastudio_url={_text(url)},
            sambastudio_api_key=os.environ["{_ENDPOINT_VARIABLE}"],
            batch_size=1,
        )
        print(embeddings.embed_query({_text("query: " + TEXT)})[:4])
    """
    note = "Endpoints take texts as they are: the client writes query: and passage: itself."
    return [
        Snippet("sambastudio, curl", "bash", curl, note),
        Snippet(
            "langchain-sambanova 0.1", "python", dedent(python).strip(), "Version 1 speaks SambaNova Cloud's form."
        ),
    ]


def _post(url: str, body: Mapping[str, object], target: Target) -> str:
    lines = [f"curl {shlex.quote(url)}", "-H 'content-type: application/json'"]
    if target.keys:
        lines.append(f'-H "authorization: Bearer ${_VARIABLE}"')
    lines.append(f"-d {shlex.quote(json.dumps(body, ensure_ascii=False))}")
    return " \\\n  ".join(lines)


def _python(code: str, target: Target) -> str:
    return ("import os\n\n" if target.keys else "") + dedent(code).strip()


def _key(target: Target) -> str:
    return f'os.environ["{_VARIABLE}"]' if target.keys else '"any"'


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _note(target: Target) -> str:
    if not target.keys:
        return "This server asks for no key."
    return f"Put a key of this server into the variable {_VARIABLE} first: export {_VARIABLE}=…"


def _one_model(target: Target) -> str:
    return f"TEI serves one model: this asks {target.default}, the server's first. curl, below, can name another."
