"""Our encoder as the model of mteb's own runner, for the tasks of MTEB and BEIR just as their makers measure them.

mteb says for each text whether it is a query, a document, or neither: texts of symmetric tasks have no prompt type. A
model with prompts for queries and documents alone gets no prefix there. That is how mteb's own figures of E5 came
about since 1.36, and it is not how E5's papers measured: `policy` chooses between the two.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from efive.encoder import Encoder
from efive.errors import DependencyError, InputError
from efive.evaluation.results import MODEL, SystemResult, TaskResult
from efive.inputs import INSTRUCT_TEMPLATE, Prompts, Role, add_prefix
from efive.models.tasks import TASKS
from efive.vectors import Floats

POLICIES = ("paper", "mteb")
"""`paper`: as unilm/e5 measures, `query: ` on every text that is no document of retrieval, on Quora's documents too.
`mteb`: no prefix where mteb names no type; instruct models get mteb's own instructions."""

_RETRIEVAL = {"Retrieval", "InstructionRetrieval", "InstructionReranking"}
_KINDS = {"STS": "similarity", "BitextMining": "bitext"}
_TYPE_TASKS = {"STS": "similarity", "BitextMining": "bitext", "Summarization": "summarization"}
_VARIANT = re.compile(r"^Nano|\.v\d+$|HardNegatives|(?<!MIRACL)Retrieval$")
_FORUM = re.compile(r"^CQADupstack\w*Retrieval")
# Of the measures that mteb has dozens of, those of retrieval and of all else.
_RANKED = re.compile(r"ndcg_at_10|mrr_at_(10|100)|recall_at_(10|100)")
_UNRANKED = re.compile(r"accuracy|f1|ap|v_measure|(cosine_)?spearman|max_ap")


def role_of(kind: str, name: str, side: str | None, policy: str, *, instruct: bool = False) -> Role:
    """Return the role in which a task's texts are embedded.

    Args:
        kind: the task's type as mteb calls it, such as `Retrieval` or `STS`.
        name: of the task.
        side: `query`, `document`, or None where mteb does not say.
        policy: one of `POLICIES`.
        instruct: whether the model takes instructions; mteb gives them to texts without a side too.

    Raises:
        InputError: if there is no such policy.
    """
    if policy not in POLICIES:
        raise InputError(f"no policy {policy!r}; the policies are {', '.join(POLICIES)}")
    if side == "query":
        return Role.QUERY
    if policy == "mteb":
        return Role.PASSAGE if side else Role.QUERY if instruct else Role.RAW
    # Quora's documents are questions too.
    document = side == "document" and kind in _RETRIEVAL and "quora" not in name.lower()
    return Role.PASSAGE if document else Role.QUERY


def instruction_of(kind: str, name: str, own: str) -> str:
    """Return what an instruct model is told for a task, empty for nothing.

    Args:
        kind: the task's type as mteb calls it.
        name: of the task; its variants (`NanoSciFactRetrieval`, `STS22.v2`) are told the same.
        own: mteb's instruction for it, which stands where E5's makers gave none.
    """
    bare = bare_name(name)
    names = [name, "CQADupstackRetrieval" if _FORUM.match(name) else "", bare, f"{bare}Retrieval"]
    known = next((TASKS[each] for each in names if each in TASKS), "")
    if known or kind in _TYPE_TASKS:
        return known or TASKS[_TYPE_TASKS[kind]]
    return own or (TASKS["retrieval"] if kind in _RETRIEVAL else "")


@dataclass(slots=True)
class _Cost:
    texts: int = 0
    seconds: float = 0.0


class MtebEncoder:
    """An encoder as mteb wants one (its `EncoderProtocol`)."""

    def __init__(self, encoder: Encoder, policy: str = "paper", name: str = "efive/model") -> None:
        """Wrap an encoder.

        Args:
            encoder: stays the caller's, who closes it.
            policy: one of `POLICIES`.
            name: of the model in mteb's results, `owner/model`.

        Raises:
            DependencyError: if mteb is not installed.
            InputError: if there is no such policy.
        """
        role_of("STS", "", None, policy)
        self._mteb = imported("mteb")
        self._similarity = imported("mteb.similarity_functions")
        self._encoder, self._policy = encoder, policy
        self.instruct = encoder.space.query_prefix == INSTRUCT_TEMPLATE
        self.costs: dict[tuple[str, str, str], _Cost] = {}
        """By task, split and subset; what mteb takes from its cache costs nothing."""
        self.mteb_model_meta = imported("mteb.models.model_meta").ModelMeta.create_empty(
            {
                "name": name,
                "revision": encoder.space.fingerprint,
                "embed_dim": encoder.dimension,
                "max_tokens": encoder.max_tokens,
                "similarity_fn_name": imported("mteb.models.model_meta").ScoringFunction.COSINE,
                "use_instructions": True,
                # mteb keeps results by these, so that those of one policy never stand for the other's.
                "experiment_kwargs": {"prefixes": policy, "max_tokens": encoder.max_tokens},
            }
        )

    def encode(
        self,
        inputs: Iterable[Mapping[str, Any]],
        *,
        task_metadata: Any,  # noqa: ANN401 - mteb's
        hf_split: str,
        hf_subset: str,
        prompt_type: Any = None,  # noqa: ANN401
        **_options: Any,  # noqa: ANN401
    ) -> Floats:
        """Return the vectors (texts, dimension) of batches with a `text` each; called by mteb."""
        role = self.role(task_metadata, prompt_type)
        texts = (text for batch in inputs for text in batch["text"])
        began = perf_counter()
        if self.instruct and role is Role.QUERY:
            told = self.instruction(task_metadata)
            prompts = Prompts.instruct(told) if told else Prompts("", "")
            texts, role = (add_prefix(text, Role.QUERY, prompts) for text in texts), Role.RAW
        vectors = self._encoder.embed(texts, role).vectors
        cost = self.costs.setdefault((task_metadata.name, hf_split, hf_subset), _Cost())
        cost.texts += len(vectors)
        cost.seconds += perf_counter() - began
        return vectors

    def role(self, metadata: Any, prompt_type: Any = None) -> Role:  # noqa: ANN401
        """Return the role in which texts of a task are embedded."""
        side = None if prompt_type is None else str(prompt_type.value)
        return role_of(metadata.type, metadata.name, side, self._policy, instruct=self.instruct)

    def instruction(self, metadata: Any) -> str:  # noqa: ANN401
        """Return what an instruct model is told for a task."""
        own = metadata.prompt.get("query") if isinstance(metadata.prompt, dict) else metadata.prompt
        if self._policy == "paper":
            return instruction_of(metadata.type, metadata.name, own or "")
        return str(own or imported("mteb.abstasks.abstask").get_abstask_prompt(metadata.name))

    def similarity(self, embeddings1: Any, embeddings2: Any) -> Any:  # noqa: ANN401
        """Return the cosines (n, m) of two sets of vectors; called by mteb."""
        return self._similarity.cos_sim(embeddings1, embeddings2)

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> Any:  # noqa: ANN401
        """Return the cosines (n,) of pairs of vectors; called by mteb."""
        return self._similarity.pairwise_cos_sim(embeddings1, embeddings2)


def run_mteb(
    encoder: Encoder,
    names_or_tasks: Sequence[Any],
    output_folder: str | Path,
    *,
    policy: str = "paper",
    name: str = "efive/model",
    batch: int = 256,
) -> list[TaskResult]:
    """Measure tasks with mteb's runner; what is in the folder already is not measured again.

    Where a task's data is not on this machine, mteb fetches it, unless HF_HUB_OFFLINE is set.

    Args:
        encoder: what is measured.
        names_or_tasks: names of tasks (`SciFact`) or benchmarks (`NanoBEIR`), or mteb's task objects.
        output_folder: where mteb keeps its own results.
        policy: one of `POLICIES`.
        name: of the model in mteb's results, `owner/model`.
        batch: texts that mteb hands over at a time; the encoder makes batches of its own of them.

    Returns:
        A result for each task, split and subset.

    Raises:
        DependencyError: if mteb is not installed.
        InputError: for a name that mteb does not know, data that is not here or not public, or a policy that does not
            exist.
    """
    model = MtebEncoder(encoder, policy, name)
    mteb = imported("mteb")
    cache = mteb.ResultCache(Path(output_folder))
    results: list[TaskResult] = []
    options = {"encode_kwargs": {"batch_size": batch}, "co2_tracker": False, "show_progress_bar": False}
    for task in open_mteb(names_or_tasks):
        try:
            measured = mteb.evaluate(model, task, cache=cache, **options)
        except (ConnectionError, FileNotFoundError) as error:  # so datasets and huggingface_hub say it
            raise InputError(
                f"the task's data is not on this machine ({error}); "
                f"`efive evaluate --mteb {task.metadata.name} --download` fetches it, where there is a network"
            ) from None
        if measured.exceptions:  # of data that is not public, mteb raises nothing
            raise InputError(f"{task.metadata.name} was not measured: {measured.exceptions[0].exception}")
        for found in measured.task_results:
            results += _results(found, task.metadata, model, policy)
    return results


def imported(module: str) -> Any:  # noqa: ANN401 - mteb's types would be checked only where it is installed
    """Return a module of mteb.

    Raises:
        DependencyError: if mteb is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise DependencyError(f"mteb's tasks need mteb ({error}): pip install 'efive[mteb]'") from None


def open_mteb(names_or_tasks: Sequence[Any]) -> list[Any]:
    """Return mteb's task objects of tasks and benchmarks, each task once; no data is read yet.

    Raises:
        DependencyError: if mteb is not installed.
        InputError: for a name that mteb does not know.
    """
    tasks = list(_tasks(imported("mteb"), names_or_tasks))
    return list({task.metadata.name: task for task in tasks}.values())


def bare_name(name: str) -> str:
    """Return what a task's data is called, without what names its variant (`NanoSciFactRetrieval`, `STS22.v2`)."""
    return _VARIANT.sub("", name)


def kind_of(metadata: Any) -> str:  # noqa: ANN401
    """Return the kind of a task by our names, or mteb's in lower case."""
    return _KINDS.get(metadata.type, str(metadata.type).lower())


def _tasks(mteb: Any, names_or_tasks: Sequence[Any]) -> Iterator[Any]:  # noqa: ANN401
    for each in names_or_tasks:
        if not isinstance(each, str):
            yield each
            continue
        try:
            yield mteb.get_task(each)
        except KeyError:
            try:
                yield from mteb.get_benchmark(each).tasks
            except (KeyError, ValueError):
                raise InputError(
                    f"mteb knows no task and no benchmark {each!r}; `mteb available-tasks` lists them"
                ) from None


def _results(found: Any, metadata: Any, model: MtebEncoder, policy: str) -> Iterator[TaskResult]:  # noqa: ANN401
    """Yield what mteb measured, in our form."""
    for split, entry in ((split, entry) for split, entries in found.scores.items() for entry in entries):
        subset = entry["hf_subset"]
        scores = _scores(metadata.main_score, entry)
        cost = model.costs.get((metadata.name, split, subset))
        parts = [metadata.name, "" if subset == "default" else subset, split if len(found.scores) > 1 else ""]
        yield TaskResult(
            name="/".join(part for part in parts if part),
            kind=kind_of(metadata),
            language="-".join(dict.fromkeys(code.split("-")[0] for code in entry["languages"])),
            measures=list(scores),
            protocol=_protocol(found.mteb_version, policy, model.instruction(metadata) if model.instruct else None),
            roles=_roles(metadata, model),
            data={"digest": f"{metadata.dataset['path']}@{found.dataset_revision}", "split": split, "sampled": ""},
            systems={MODEL: SystemResult(scores)},
            cost={} if cost is None else _spent(cost),
            extras={"mteb": {"version": found.mteb_version, "subset": subset, "seconds": found.evaluation_time}},
        )


def _scores(main: str, entry: Mapping[str, Any]) -> dict[str, float]:
    """Return the main measure and the usual ones beside it, by our names."""
    wanted = {main: entry["main_score"]}
    kept = _RANKED if "_at_" in main else _UNRANKED
    wanted |= {key: value for key, value in entry.items() if key not in wanted and kept.fullmatch(key)}
    plain = {key: float(value) for key, value in wanted.items() if isinstance(value, (int, float, np.number))}
    finite = {key: value for key, value in plain.items() if math.isfinite(value)}
    return {"spearman" if key == "cosine_spearman" else key: value for key, value in finite.items()}


def _protocol(version: str, policy: str, told: str | None) -> str:
    said = f"mteb {version}'s own runner, prefixes by the policy {policy!r}"
    return said if told is None else f"{said}, instruction: {told or 'none'}"


def _roles(metadata: Any, model: MtebEncoder) -> dict[str, str]:  # noqa: ANN401
    if metadata.type not in {*_RETRIEVAL, "Reranking"}:
        return {"texts": str(model.role(metadata))}
    sides = imported("mteb.types").PromptType
    return {
        "queries": str(model.role(metadata, sides.query)),
        "documents": str(model.role(metadata, sides.document)),
    }


def _spent(cost: _Cost) -> dict[str, float]:
    rate = cost.texts / cost.seconds if cost.seconds else 0.0
    return {"texts": cost.texts, "seconds": cost.seconds, "texts_per_second": rate}
