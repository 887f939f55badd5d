"""mteb's runner on tasks made here. What needs no mteb is tested where it is not installed, too."""

import importlib.util

import made_tasks
import numpy as np
import pytest
from made_tasks import ANSWERS

from efive import Encoder
from efive.errors import DependencyError, InputError
from efive.evaluation import mteb as ours
from efive.evaluation.mteb import MtebEncoder, instruction_of, open_mteb, role_of, run_mteb
from efive.inputs import Role
from efive.models.tasks import TASKS

INSTALLED = importlib.util.find_spec("mteb") is not None
# mteb and what it imports warn of their own matters.
needs_mteb = [
    pytest.mark.skipif(not INSTALLED, reason="mteb is not installed: pip install 'efive[mteb]'"),
    pytest.mark.filterwarnings("error"),
]


@pytest.mark.parametrize(
    ("kind", "name", "side", "paper", "mteb"),
    [
        ("Retrieval", "SciFact", "query", "query", "query"),
        ("Retrieval", "SciFact", "document", "passage", "passage"),
        ("InstructionRetrieval", "Robust04", "document", "passage", "passage"),
        ("Retrieval", "QuoraRetrieval", "document", "query", "passage"),
        ("Retrieval", "NanoQuoraRetrieval", "document", "query", "passage"),
        ("Reranking", "SciDocsRR", "document", "query", "passage"),
        ("STS", "STS22", None, "query", "raw"),
        ("BitextMining", "Tatoeba", None, "query", "raw"),
        ("Classification", "Banking77Classification", None, "query", "raw"),
    ],
)
def test_roles(kind, name, side, paper, mteb):
    assert role_of(kind, name, side, "paper") == paper
    assert role_of(kind, name, side, "mteb") == mteb
    if side is None:
        assert role_of(kind, name, side, "mteb", instruct=True) is Role.QUERY


def test_instructions():
    assert instruction_of("Retrieval", "SciFact", "") == TASKS["SciFact"]
    assert instruction_of("Retrieval", "NanoSciFactRetrieval", "other") == TASKS["SciFact"]
    assert instruction_of("Retrieval", "NanoFEVERRetrieval", "") == TASKS["FEVER"]
    assert instruction_of("Retrieval", "NanoQuoraRetrieval", "") == TASKS["QuoraRetrieval"]
    assert instruction_of("Retrieval", "MIRACLRetrievalHardNegatives", "") == TASKS["MIRACLRetrieval"]
    assert instruction_of("Retrieval", "CQADupstackGamingRetrieval", "") == TASKS["CQADupstackRetrieval"]
    assert instruction_of("STS", "STS12", "other") == TASKS["similarity"]
    assert instruction_of("BitextMining", "BUCC.v2", "") == TASKS["bitext"]
    assert instruction_of("Classification", "Banking77Classification.v2", "") == TASKS["Banking77Classification"]
    assert instruction_of("Classification", "Unheard", "mteb's own") == "mteb's own"
    assert instruction_of("Clustering", "Unheard", "") == ""
    assert instruction_of("Retrieval", "Unheard", "") == TASKS["retrieval"]


def test_refuses_a_policy_that_is_none():
    with pytest.raises(InputError, match="no policy 'none'; the policies are paper, mteb"):
        role_of("STS", "STS12", None, "none")


def test_says_what_to_install(monkeypatch):
    def missing(module):
        raise ModuleNotFoundError(f"No module named {module!r}")

    monkeypatch.setattr(ours, "import_module", missing)
    with pytest.raises(DependencyError, match=r"pip install 'efive\[mteb\]'"):
        ours.imported("mteb")


# -- with mteb


@pytest.fixture(scope="module")
def make():
    """Return a function that makes tasks of mteb from data of ours."""
    if not INSTALLED:
        pytest.skip("mteb is not installed: pip install 'efive[mteb]'")
    return made_tasks.make


class Noting:
    """An encoder that notes in which role it embeds which texts."""

    def __init__(self, encoder):
        self._encoder = encoder
        self.seen = []

    def __getattr__(self, name):
        return getattr(self._encoder, name)

    def embed(self, texts, role):
        texts = list(texts)
        self.seen += [(str(role), text) for text in texts]
        return self._encoder.embed(texts, role)


@pytest.fixture
def noting(bert):
    with Encoder.load(bert, precision="fp32") as encoder:
        yield Noting(encoder)


class TestWithMteb:
    pytestmark = needs_mteb

    def test_the_runner_takes_our_encoder(self, make, noting, tmp_path):
        from mteb.models.models_protocols import EncoderProtocol

        assert isinstance(MtebEncoder(noting), EncoderProtocol)
        (result,) = run_mteb(noting, [make("Made", "Retrieval")], tmp_path / "out")
        roles = dict.fromkeys(noting.seen)
        assert list(roles) == [("query", q) for q, _ in ANSWERS.values()] + [
            ("passage", d) for _, d in ANSWERS.values()
        ]
        assert (result.name, result.kind, result.language, result.measures[0]) == (
            "Made",
            "retrieval",
            "eng",
            "ndcg_at_10",
        )
        assert result.roles == {"queries": "query", "documents": "passage"}
        assert result.cost["texts"] == 6
        queries = noting.embed_queries([q for q, _ in ANSWERS.values()]).vectors
        documents = noting.embed_passages([d for _, d in ANSWERS.values()]).vectors
        cosines = queries @ documents.T
        ranks = 1 + (cosines > np.diag(cosines)[:, None]).sum(axis=1)
        assert result.systems["model"].scores["ndcg_at_10"] == pytest.approx(np.mean(1 / np.log2(1 + ranks)), abs=1e-4)

    @pytest.mark.parametrize(
        ("name", "kind", "policy", "second"),
        [
            ("Made", "STS", "paper", "query"),
            ("Made", "STS", "mteb", "raw"),
            ("Made", "Reranking", "paper", "query"),
            ("Made", "Reranking", "mteb", "passage"),
            ("QuoraMade", "Retrieval", "paper", "query"),
            ("QuoraMade", "Retrieval", "mteb", "passage"),
        ],
    )
    def test_the_trap_of_texts_without_a_type(self, make, noting, tmp_path, name, kind, policy, second):
        (result,) = run_mteb(noting, [make(name, kind)], tmp_path / "out", policy=policy)
        first = second if kind == "STS" else "query"
        known = {q for q, _ in ANSWERS.values()} if kind != "STS" else set()
        assert {role for role, text in noting.seen if text in known} <= {first}
        assert {role for role, text in noting.seen if text not in known} == {second}
        assert list(result.roles.values())[-1] == second
        assert repr(policy) in result.protocol

    def test_results_are_kept_by_policy(self, make, noting, tmp_path):
        task = make("Made", "STS")
        paper = run_mteb(noting, [task], tmp_path / "out")[0]
        count = len(noting.seen)
        again = run_mteb(noting, [task], tmp_path / "out")[0]
        assert len(noting.seen) == count
        assert again.systems == paper.systems
        assert again.cost == {}
        run_mteb(noting, [task], tmp_path / "out", policy="mteb")
        assert len(noting.seen) > count

    def test_instruct_models_are_told_what_the_task_is(self, make, tiny_models, tmp_path):
        pytest.importorskip("torch")
        folder = tiny_models["mistral"]
        with Encoder.load(folder, engine="torch", precision="fp32") as encoder:
            noting = Noting(encoder)
            assert MtebEncoder(noting).instruct
            run_mteb(noting, [make("SciFact", "Retrieval"), make("STS12", "STS")], tmp_path / "out")
        first = f"Instruct: {TASKS['SciFact']}\nQuery: {ANSWERS['q0'][0]}"
        assert ("raw", first) in noting.seen
        assert ("passage", ANSWERS["q0"][1]) in noting.seen
        assert ("raw", f"Instruct: {TASKS['similarity']}\nQuery: a cat sleeps") in noting.seen

    def test_data_that_is_not_here_is_named_with_the_way_to_it(self, noting, tmp_path):
        with pytest.raises(InputError, match=r"data is not on this machine.*--mteb STS12 --download"):
            run_mteb(noting, ["STS12"], tmp_path / "out")

    def test_a_task_that_is_asked_for_twice_is_one(self):
        assert [task.metadata.name for task in open_mteb(["SciFact", "STS12", "SciFact"])] == ["SciFact", "STS12"]

    def test_refuses_a_name_that_mteb_does_not_know(self, noting, tmp_path):
        with pytest.raises(InputError, match="no benchmark 'Unheard'"):
            run_mteb(noting, ["Unheard"], tmp_path / "out")
