"""The table of published models, beside the shapes and counts that their cards and papers state."""

import pytest

from efive.errors import ModelNotFoundError
from efive.inputs import Role
from efive.models.architecture import MAX_TOKENS, Architecture, Kind
from efive.models.family import FAMILY, member, member_of_path

# name: kind, layers, hidden, heads, feed-forward, vocabulary, positions, epsilon, token types, parameters
BERT_SMALL = ("bert", 12, 384, 12, 1536, 30_522, 512, 1e-12, 2, 33_360_000)
BERT_BASE = ("bert", 12, 768, 12, 3072, 30_522, 512, 1e-12, 2, 109_482_240)
BERT_LARGE = ("bert", 24, 1024, 16, 4096, 30_522, 512, 1e-12, 2, 335_141_888)
XLM_R_LARGE = ("xlm-roberta", 24, 1024, 16, 4096, 250_002, 514, 1e-5, 1, 559_890_432)
PUBLISHED = {
    "e5-small": BERT_SMALL,
    "e5-small-v2": BERT_SMALL,
    "e5-small-unsupervised": BERT_SMALL,
    "e5-base": BERT_BASE,
    "e5-base-v2": BERT_BASE,
    "e5-base-unsupervised": BERT_BASE,
    "e5-large": BERT_LARGE,
    "e5-large-v2": BERT_LARGE,
    "e5-large-unsupervised": BERT_LARGE,
    "multilingual-e5-small": ("bert", 12, 384, 12, 1536, 250_037, 512, 1e-12, 2, 117_653_760),
    "multilingual-e5-base": ("xlm-roberta", 12, 768, 12, 3072, 250_002, 514, 1e-5, 1, 278_043_648),
    "multilingual-e5-large": XLM_R_LARGE,
    "multilingual-e5-large-instruct": XLM_R_LARGE,
    "e5-mistral-7b-instruct": ("mistral", 32, 4096, 32, 14_336, 32_000, 32_768, 1e-5, 0, 7_110_660_096),
}
INSTRUCT = {"multilingual-e5-large-instruct", "e5-mistral-7b-instruct"}


def test_family_is_the_fourteen_published_models():
    assert set(FAMILY) == set(PUBLISHED)
    assert len(FAMILY) == 14
    assert all(name == each.name for name, each in FAMILY.items())


@pytest.mark.parametrize("name", PUBLISHED)
def test_shape_and_parameters(name):
    each = FAMILY[name]
    a = each.architecture
    shape = (a.kind, a.layers, a.hidden, a.heads, a.feed_forward, a.vocabulary, a.positions, a.norm_eps, a.token_types)
    assert (*shape, each.parameters) == PUBLISHED[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_first_position_and_usable_tokens(name):
    """XLM-R counts from 2; multilingual-e5-small has XLM-R's vocabulary and counts from 0 all the same."""
    a = FAMILY[name].architecture
    assert a.first_position == (2 if a.kind is Kind.XLM_R else 0)
    assert a.longest == (32_768 if a.kind is Kind.MISTRAL else 512)
    assert min(a.longest, MAX_TOKENS) == 512


@pytest.mark.parametrize("name", PUBLISHED)
def test_prompts_and_pooling(name):
    each = FAMILY[name]
    assert each.instruct == (name in INSTRUCT)
    assert each.pooling == ("last" if name == "e5-mistral-7b-instruct" else "mean")
    query, passage = each.prompts.of(Role.QUERY), each.prompts.of(Role.PASSAGE)
    if each.instruct:
        web = "Given a web search query, retrieve relevant passages that answer the query"
        assert (query, passage) == (f"Instruct: {web}\nQuery: ", "")
    else:
        assert (query, passage) == ("query: ", "passage: ")


def test_mistral_particulars():
    a = FAMILY["e5-mistral-7b-instruct"].architecture
    assert (a.kv_heads, a.head_dim, a.pad_id, a.rope_theta, a.sliding_window) == (8, 128, 2, 10_000.0, 4096)


@pytest.mark.parametrize("name", PUBLISHED)
def test_configuration_round_trip(name):
    a = FAMILY[name].architecture
    assert Architecture.from_config(a.to_config()) == a


def test_licences_and_revisions():
    assert {n for n, m in FAMILY.items() if m.licence == "Apache-2.0"} == {"e5-small", "e5-base", "e5-large"}
    assert {m.licence for m in FAMILY.values()} == {"Apache-2.0", "MIT"}
    assert {n for n, m in FAMILY.items() if not m.evaluated_revision} == {n for n in FAMILY if "unsupervised" in n}
    assert FAMILY["multilingual-e5-small"].evaluated_revision == "fd1525a9"


def test_member_by_name_or_id():
    assert member("intfloat/e5-base-v2") is member("e5-base-v2") is FAMILY["e5-base-v2"]
    assert member("e5-base-v2").repository == "intfloat/e5-base-v2"
    with pytest.raises(ModelNotFoundError, match=r"no E5 model is called 'e5-bsae'; the family has e5-small, "):
        member("e5-bsae")


def test_member_of_path():
    assert member_of_path("", "/models/e5-large/") is FAMILY["e5-large"]
    assert member_of_path("nothing", "intfloat/e5-small") is FAMILY["e5-small"]
    assert member_of_path("e5-small-tuned", "e5-small/checkpoint-9", "") is None
