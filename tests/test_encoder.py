"""What a Python user holds: roles, usage, overflow, bad input, independence of the batch, honesty."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from efive import Encoder
from efive.embeddings import Embeddings
from efive.errors import (
    EmptyTextWarning,
    EngineError,
    InputError,
    ModelNotFoundError,
    PrefixError,
    PrefixWarning,
    TooLongError,
    TruncationWarning,
)

LONG = " ".join(tiny.TEXTS)


@pytest.fixture(scope="module")
def encoder(tiny_models):
    with Encoder.load(tiny_models["xlm-roberta"], precision="fp32") as encoder:
        yield encoder


@pytest.fixture(scope="module")
def reduced(tiny_models):
    with Encoder.load(tiny_models["xlm-roberta"], precision="int8") as encoder:
        yield encoder


def test_result_has_everything(encoder):
    result = encoder.embed_queries(["how much protein should a female eat", "b"])
    assert isinstance(result, Embeddings)
    assert result.vectors.dtype == np.float32
    assert result.vectors.shape == (2, 64)
    assert np.allclose(np.linalg.norm(result.vectors, axis=1), 1, atol=1e-6)
    assert [(s.input, s.start, s.end) for s in result.spans] == [(0, 0, 36), (1, 0, 1)]
    assert result.usage[0].tokens_seen == result.usage[0].tokens_used > 5
    assert not result.usage[0].truncated
    assert result.space == encoder.space
    assert len(result) == 2


def test_roles_differ_and_raw_is_the_exact_input(encoder):
    query, passage = encoder.embed_queries(["tea"]).vectors, encoder.embed_passages(["tea"]).vectors
    assert not np.allclose(query, passage, atol=1e-3)
    assert np.allclose(encoder.embed(["query: tea"], "raw").vectors, query, atol=1e-6)
    assert np.allclose(encoder.embed(["passage: tea"], "raw").vectors, passage, atol=1e-6)


@pytest.mark.parametrize(
    "text", ["query: tea", "Query: tea", "QUERY:tea", "query:  tea", " query : tea", "passage: tea"]
)
def test_a_prefix_is_never_doubled(encoder, text):
    with pytest.warns(PrefixWarning, match="text 1 already begins"):
        result = encoder.embed_queries(["milk", text, text])
    assert np.allclose(result.vectors[1], encoder.embed_queries(["tea"]).vectors[0], atol=1e-6)


def test_a_prefix_is_warned_of_once_per_call(encoder):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        encoder.embed_queries(["query: a", "query: b", "query: c"])
    assert [w.category for w in caught] == [PrefixWarning]


def test_strict_refuses_prefixed_and_empty(encoder):
    with pytest.raises(PrefixError, match="text 2 already begins with 'Query: '") as error:
        encoder.embed_queries(["a", "b", "Query: c"], strict=True)
    assert error.value.index == 2
    with pytest.raises(InputError, match="text 0 is empty"):
        encoder.embed_queries([" "], strict=True)


def test_empty_text_is_the_prefix_alone(encoder):
    with pytest.warns(EmptyTextWarning, match="text 1 is empty"):
        result = encoder.embed_passages(["a", "", " \n"])
    assert np.isfinite(result.vectors).all()
    assert np.allclose(result.vectors[1], encoder.embed(["passage: "], "raw").vectors[0], atol=1e-6)


def test_nothing_in_nothing_out(encoder):
    result = encoder.embed_queries([])
    assert result.vectors.shape == (0, 64)
    assert result.usage == []


@pytest.mark.parametrize("bad", [None, 3, 2.5, b"bytes", ["nested"], float("nan")])
def test_wrong_types_name_the_index(encoder, bad):
    with pytest.raises(InputError, match=f"text 2 is {type(bad).__name__}, not str") as error:
        encoder.embed_queries(["a", "b", bad])
    assert error.value.index == 2


def test_wrong_type_deep_in_a_stream_keeps_what_came_before(encoder):
    seen = []

    def drain():
        for part in encoder.stream((f"{n % 7}" if n != 3000 else None for n in range(5000)), "query"):
            seen.extend(part.usage)

    with pytest.raises(InputError, match="text 3000 is NoneType"):
        drain()
    assert len(seen) == 128 + 2048  # the first block, which is smaller, and two more


def test_a_bare_string_is_refused(encoder):
    with pytest.raises(InputError, match=r"\[text\]"):
        encoder.embed_queries("a cat")


def test_lone_surrogate_names_index_and_place(encoder):
    with pytest.raises(InputError, match=r"text 1 has a lone surrogate \(U\+D83D\) at character 3"):
        encoder.embed_queries(["fine 😀", "abc\ud83d"])


def test_nul_and_controls_are_embedded(encoder):
    result = encoder.embed_queries(["a\0b", "\0", "\x07\x1b[0m", "\ufeffbom", "\u202eabc"])
    assert np.isfinite(result.vectors).all()


def test_ten_megabytes_of_one_word(encoder):
    text = "x" * 10_000_000
    with pytest.warns(TruncationWarning, match="was cut to 512"):
        result = encoder.embed_passages([text, "short"])
    assert np.isfinite(result.vectors).all()
    assert result.usage[0].tokens_used == 512
    assert result.usage[0].tokens_seen > 100_000
    assert not result.usage[1].truncated


def test_a_million_empty_texts(encoder):
    with pytest.warns(EmptyTextWarning):
        total = sum(len(part) for part in encoder.stream(("" for _ in range(1_000_000)), "passage"))
    assert total == 1_000_000


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"role": "document"}, "no role 'document'; the roles are query, passage, raw"),
        ({"role": "query", "overflow": "cut"}, "no overflow policy 'cut'"),
        ({"role": "query", "batch_size": 3}, "no option batch_size"),
        ({"role": "query", "overlap": 5}, "use overflow='chunk'"),
    ],
)
def test_unknown_options_name_what_exists(encoder, options, message):
    with pytest.raises(InputError, match=message):
        encoder.embed(["a"], **options)


@pytest.mark.parametrize("options", [{"engine": "onnx"}, {"precision": "int4"}, {"max_tokens": 600}, {"max_tokens": 2}])
def test_unknown_load_options(tiny_models, options):
    with pytest.raises(InputError, match=str(next(iter(options.values())))):
        Encoder.load(tiny_models["bert"], **options)


def test_a_model_that_is_not_here_names_the_command():
    with pytest.raises(ModelNotFoundError, match="efive models pull multilingual-e5-small"):
        Encoder.load("multilingual-e5-small")


class TestOverflow:
    def test_error_names_index_and_both_numbers(self, encoder):
        with pytest.raises(TooLongError, match=r"text 1 has \d{3,} tokens.* reads 512") as error:
            encoder.embed_passages(["a", LONG], overflow="error")
        assert error.value.index == 1

    @pytest.mark.parametrize("policy", ["end", "start"])
    def test_cutting_equals_embedding_what_is_kept(self, encoder, policy):
        with pytest.warns(TruncationWarning):
            cut = encoder.embed_passages([LONG], overflow=policy)
        span = cut.spans[0]
        assert cut.usage[0].truncated
        assert cut.usage[0].tokens_used == 512 < cut.usage[0].tokens_seen
        assert (span.start == 0) == (policy == "end")
        assert (span.end == len(LONG)) == (policy == "start")
        # The cut may fall within a word: then the kept text's own tokens differ by a piece, and may be one more.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", TruncationWarning)
            kept = encoder.embed_passages([LONG[span.start : span.end].strip()])
        assert float(kept.vectors[0] @ cut.vectors[0]) > 0.995

    def test_start_keeps_the_prefix(self, encoder):
        ids = encoder._preparer.tokenizer
        row = encoder._preparer.prepare([LONG], _request("passage", "start"), 0, _Silent()).rows[0]
        assert list(row[:4]) == list(ids.encode(["passage: a"])[0][:4])
        assert len(row) == 512

    def test_chunks_cover_everything_and_equal_their_own_text(self, encoder):
        result = encoder.embed_passages(["short", LONG], overflow="chunk", overlap=30)
        assert result.spans[0].input == 0
        windows = result.spans[1:]
        assert {w.input for w in windows} == {1}
        assert windows[0].start == 0
        assert windows[-1].end == len(LONG)
        assert all(b.start <= a.end for a, b in pairwise(windows))
        assert not result.usage[1].truncated
        assert result.usage[1].tokens_used >= result.usage[1].tokens_seen
        alone = encoder.embed_passages([LONG[w.start : w.end] for w in windows])
        assert np.abs(alone.vectors - result.vectors[1:]).max() <= 1e-5

    def test_chunk_offsets_count_a_prefix_that_was_there(self, encoder):
        with pytest.warns(PrefixWarning):
            result = encoder.embed_passages(["passage:  " + LONG], overflow="chunk")
        assert result.spans[0].start == len("passage:  ")
        assert result.spans[-1].end == len("passage:  " + LONG)


class _Silent:
    def give(self, kind, message):
        pass


def _request(role, overflow):
    from efive.inputs import Overflow, Role
    from efive.preparation import Request

    return Request(Role(role), Overflow(overflow))


TEXTS = st.lists(
    st.sampled_from(tiny.TEXTS) | st.text(st.characters(codec="utf-8"), max_size=60), min_size=1, max_size=40
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, data=st.data())
@pytest.mark.filterwarnings("ignore::efive.errors.EfiveWarning")
def test_neighbours_do_not_matter(encoder, reduced, texts, data):
    """Batch size, order and company of a text change its vector only within the published bound."""
    order = data.draw(st.permutations(range(len(texts))))
    for engine, bound in ((encoder, 1 - 1e-6), (reduced, 0.99)):
        together = engine.embed_passages([texts[i] for i in order]).vectors
        alone = np.concatenate([engine.embed_passages([texts[i]]).vectors for i in order])
        assert (together * alone).sum(axis=1).min() >= bound


def test_generator_equals_list_across_blocks(encoder):
    texts = [f"{tiny.TEXTS[n % 60]} {n % 90}" for n in range(2500)]
    whole = encoder.embed_passages(texts)
    parts = list(encoder.stream((t for t in texts), "passage"))
    assert [len(p) for p in parts] == [128, 1024, 1024, 324]
    assert np.abs(np.concatenate([p.vectors for p in parts]) - whole.vectors).max() <= 1e-6
    assert [s.input for p in parts for s in p.spans] == list(range(2500))


def test_a_stream_reads_no_further_than_two_blocks_ahead(encoder):
    drawn = 0

    def texts():
        nonlocal drawn
        for n in range(100_000):
            drawn += 1
            yield str(n % 50)

    stream = encoder.stream(texts(), "query")
    next(stream)
    stream.close()
    assert drawn <= 4 * 1024


def test_progress_counts_every_vector(encoder):
    counts = []
    encoder.embed_passages(tiny.TEXTS * 3, progress=counts.append)
    assert sum(counts) == len(tiny.TEXTS) * 3


def test_threads_share_an_encoder(encoder):
    from concurrent.futures import ThreadPoolExecutor

    expected = encoder.embed_passages(tiny.TEXTS).vectors
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: encoder.embed_passages(tiny.TEXTS).vectors, range(16)))
    assert all(np.abs(r - expected).max() <= 1e-6 for r in results)


def test_task_only_for_instruct_models(tiny_models):
    with pytest.raises(InputError, match="takes no instruction"):
        Encoder.load(tiny_models["bert"], task="retrieval")
    with pytest.raises(InputError, match="did you mean retrieval"):
        Encoder.load(tiny_models["mistral"], task="retreival")


class TestAfterClosing:
    @pytest.mark.parametrize("engine", ["openvino", "torch"])
    def test_use_is_an_error_and_closing_twice_is_none(self, tiny_models, engine):
        encoder = Encoder.load(tiny_models["bert"], engine=engine)
        encoder.close()
        encoder.close()
        with pytest.raises(EngineError, match="closed"):
            encoder.embed_queries(["a"])

    def test_a_stream_cut_off_by_closing_ends_with_an_error(self, tiny_models):
        with Encoder.load(tiny_models["bert"]) as encoder:
            stream = encoder.stream((str(n) for n in range(100_000)), "query")
            next(stream)
        with pytest.raises(EngineError, match="closed"):
            list(stream)


@pytest.mark.parametrize(
    ("texts", "options", "message"),
    [(None, {}, "texts is NoneType"), (5, {}, "texts is int"), (["a"], {"role": "both"}, "no role 'both'")],
)
def test_a_wrong_call_fails_at_the_call_not_in_the_loop(encoder, texts, options, message):
    with pytest.raises(InputError, match=message):
        encoder.stream(texts, **({"role": "query"} | options))


def test_threads_must_be_at_least_one(tiny_models):
    with pytest.raises(InputError, match="threads is 0"):
        Encoder.load(tiny_models["bert"], threads=0)


def test_an_instruction_without_room_for_text_is_refused(tiny_models):
    with pytest.raises(InputError, match="leaves none of 16"):
        Encoder.load(tiny_models["mistral"], max_tokens=16)


@pytest.mark.parametrize("policy", ["end", "start", "chunk"])
def test_a_long_query_keeps_the_instruction_that_its_writer_gave(tiny_models, policy):
    """Neither lost nor replaced by the default one, and its characters are not counted as the text's."""
    own = "Instruct: Find the recipe that answers.\nQuery: "
    with Encoder.load(tiny_models["mistral"], precision="fp32", max_tokens=100) as encoder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = encoder.embed_queries([own + LONG], overflow=policy)
        span = result.spans[0]
        kept = (own + LONG)[max(span.start, len(own)) : span.end]
        alone = encoder.embed([own + kept.strip()], "raw").vectors[0]
        other = encoder.embed_queries([kept.strip()]).vectors[0]
    # The cut may fall within a word, whose piece differs alone; the default instruction is much farther away.
    assert float(result.vectors[0] @ alone) > 0.97 > float(result.vectors[0] @ other)


def test_a_generator_of_large_texts_is_read_a_block_at_a_time(encoder):
    drawn = 0

    def texts():
        nonlocal drawn
        for _ in range(200):
            drawn += 1
            yield "word " * 100_000

    from efive.pipeline import blocks

    next(blocks(texts(), 1024))
    assert drawn <= 9
