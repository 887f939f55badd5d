"""What a user of langchain-openai does: langchain_openai_steps.py URL KEY."""

import sys
from importlib.metadata import version

from langchain_openai import OpenAIEmbeddings

options = {"base_url": f"{sys.argv[1]}/openai/v1", "api_key": sys.argv[2]}
plain = {"check_embedding_ctx_length": False, **options}
passages = OpenAIEmbeddings(model="e5:passage", **plain).embed_documents(["the cat sleeps", "the tax is due"])
query = OpenAIEmbeddings(model="e5:query", **plain).embed_query("a sleeping pet")
scores = [sum(a * b for a, b in zip(query, passage, strict=True)) for passage in passages]
assert scores[0] > scores[1], scores
print(f"langchain-openai {version('langchain-openai')}: done")
