"""What a user of OpenAI's package does; run by the package's own Python: openai_steps.py URL KEY."""

import base64
import struct
import sys

import openai

client = openai.OpenAI(base_url=f"{sys.argv[1]}/openai/v1", api_key=sys.argv[2])


def main():
    found = client.embeddings.create(model="e5", input=["query: hello", "passage: world"])  # base64 on the wire
    floats = client.embeddings.create(model="e5", input=["query: hello"], encoding_format="float")
    assert len(found.data) == 2
    assert max(abs(a - b) for a, b in zip(found.data[0].embedding, floats.data[0].embedding, strict=True)) < 1e-6
    assert found.usage.total_tokens > 5
    packed = client.embeddings.create(model="e5", input="query: hello", encoding_format="base64").data[0].embedding
    assert len(struct.unpack("<384f", base64.b64decode(packed))) == 384
    by_name = client.embeddings.create(model="e5:query", input="hello").data[0].embedding
    by_field = client.embeddings.create(model="e5", input="hello", extra_body={"input_type": "query"})
    assert by_name == by_field.data[0].embedding == found.data[0].embedding
    large = client.embeddings.create(model="intfloat/multilingual-e5-large", input="hello", dimensions=1024)
    assert len(large.data[0].embedding) == 1024
    assert "e5" in [model.id for model in client.models.list()]
    assert client.models.retrieve("intfloat/multilingual-e5-large").id == "intfloat/multilingual-e5-large"
    refuse(openai.NotFoundError, "efive models pull e5-base", "model_not_found", model="e5-base", input="hello")
    refuse(openai.BadRequestError, "512", "context_length_exceeded", model="e5", input="word " * 600)
    refuse(openai.BadRequestError, "input 1 is empty", None, model="e5", input=["a", ""])
    refuse(openai.BadRequestError, "check_embedding_ctx_length=False", None, model="e5", input=[[1, 2, 3]])
    if sys.argv[2] != "any":
        stranger = client.with_options(api_key="wrong")
        try:
            stranger.embeddings.create(model="e5", input="a")
        except openai.AuthenticationError as error:
            assert error.code == "invalid_api_key"
        else:
            raise AssertionError("a wrong key was let in")
    print(f"openai {openai.__version__}: done")


def refuse(kind, words, code, **request):
    try:
        client.embeddings.create(**request)
    except kind as error:
        assert words in str(error), error
        assert error.code == code, error.code
    else:
        raise AssertionError(f"{request} was not refused")


main()
