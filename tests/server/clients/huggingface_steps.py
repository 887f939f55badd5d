"""What a user of huggingface_hub's InferenceClient does: huggingface_steps.py URL KEY."""

import sys

import huggingface_hub
from huggingface_hub import InferenceClient

mount = f"{sys.argv[1]}/tei"
client = InferenceClient(model=mount, token=sys.argv[2])
found = client.feature_extraction("hello")
assert found.shape == (1, 384), found.shape
assert abs((found**2).sum() - 1) < 1e-5
query = client.feature_extraction(
    "hello", prompt_name="query", normalize=True, truncate=True, truncation_direction="left"
)
assert abs(query - found).max() > 1e-3
assert InferenceClient(model=f"{mount}/embed", token=sys.argv[2]).feature_extraction("hello").shape == (1, 384)
near, far = client.sentence_similarity("a dog", other_sentences=["a hound", "the tax office"])
assert near > far
try:
    client.feature_extraction("word " * 600, truncate=False)
except huggingface_hub.errors.HfHubHTTPError as error:
    assert error.response.status_code == 422
    assert "512" in str(error)
else:
    raise AssertionError("a long text was not refused")
own = InferenceClient(model=mount, token=sys.argv[2], provider="hf-inference")
assert own.get_endpoint_info()["model_type"] == {"embedding": {"pooling": "mean"}}
assert own.health_check()
print(f"huggingface_hub {huggingface_hub.__version__}: done")
