"""sentence-transformers behind FastAPI, as its users put it there: one function, the framework's threads.

.peers/current/bin/python benchmarks/servers/with_fastapi.py FOLDER PORT THREADS
"""

import sys
from typing import Any

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from sentence_transformers import SentenceTransformer


class Body(BaseModel):
    """What OpenAI's clients send."""

    model: str
    input: str | list[str]


def application(folder: str) -> FastAPI:
    """Return the application."""
    model, app = SentenceTransformer(folder, device="cpu"), FastAPI()

    @app.post("/embeddings")
    def embeddings(body: Body) -> dict[str, Any]:
        texts = [body.input] if isinstance(body.input, str) else body.input
        vectors = model.encode(texts, normalize_embeddings=True, show_progress_bar=False)
        data = [{"object": "embedding", "index": i, "embedding": v.tolist()} for i, v in enumerate(vectors)]
        return {"object": "list", "model": body.model, "data": data}

    @app.get("/health")
    def health() -> str:
        return "ok"

    return app


def main() -> None:
    folder, port, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    uvicorn.run(application(folder), port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
