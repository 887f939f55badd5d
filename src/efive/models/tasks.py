"""Task instructions of the instruct models, by task name.

The sentences are data that those models were trained and evaluated with (arXiv 2401.00368, appendix): a
different wording is a different vector.
"""

from difflib import get_close_matches

from efive.errors import InputError

DEFAULT_TASK = "retrieval"

_WEB = "Given a web search query, retrieve relevant passages that answer the query"
_WIKIPEDIA = "Given a question, retrieve Wikipedia passages that answer the question"
_SIMILAR = "Retrieve semantically similar text."
_DUPLICATES = "Given a question, retrieve questions that are semantically equivalent to the given question"
_PARALLEL = "Retrieve parallel sentences."

TASKS: dict[str, str] = {
    "retrieval": _WEB,
    "question-answering": _WIKIPEDIA,
    "similarity": _SIMILAR,
    "bitext": _PARALLEL,
    "summarization": "Given a news summary, retrieve other semantically similar summaries",
    "duplicate-questions": _DUPLICATES,
    # Benchmark tasks, by mteb's names.
    "MSMARCO": _WEB,
    "NQ": _WIKIPEDIA,
    "MIRACLRetrieval": _WIKIPEDIA,
    "MrTidyRetrieval": _WIKIPEDIA,
    "ArguAna": "Given a claim, find documents that refute the claim",
    "ClimateFEVER": "Given a claim about climate change, retrieve documents that support or refute the claim",
    "CQADupstackRetrieval": (
        "Given a question, retrieve detailed question descriptions from Stackexchange that are duplicates to "
        "the given question"
    ),
    "DBPedia": "Given a query, retrieve relevant entity descriptions from DBPedia",
    "FEVER": "Given a claim, retrieve documents that support or refute the claim",
    "FiQA2018": "Given a financial question, retrieve user replies that best answer the question",
    "HotpotQA": "Given a multi-hop question, retrieve documents that can help answer the question",
    "NFCorpus": "Given a question, retrieve relevant documents that best answer the question",
    "QuoraRetrieval": _DUPLICATES,
    "SCIDOCS": "Given a scientific paper title, retrieve paper abstracts that are cited by the given paper",
    "SciFact": "Given a scientific claim, retrieve documents that support or refute the claim",
    "Touche2020": "Given a question, retrieve detailed and persuasive arguments that answer the question",
    "TRECCOVID": "Given a query on COVID-19, retrieve documents that answer the query",
    "STSBenchmark": _SIMILAR,
    "STS22": _SIMILAR,
    "BUCC": _PARALLEL,
    "Tatoeba": _PARALLEL,
    "SummEval": "Given a news summary, retrieve other semantically similar summaries",
    "Banking77Classification": "Given a online banking query, find the corresponding intents",
    "EmotionClassification": (
        "Classify the emotion expressed in the given Twitter message into one of the six emotions: anger, fear, "
        "joy, love, sadness, and surprise"
    ),
    "ImdbClassification": "Classify the sentiment expressed in the given movie review text from the IMDB dataset",
    "TwitterSemEval2015": "Retrieve tweets that are semantically similar to the given tweet",
    "AskUbuntuDupQuestions": "Retrieve duplicate questions from AskUbuntu forum",
}


def task_sentence(task: str) -> str:
    """Return the instruction for `task`: a name of the registry, or a sentence of the caller's own.

    A word that is no name of the registry is taken as a sentence only if it has a space, so that a
    misspelt name is not silently used as an instruction.

    Raises:
        InputError: for a single word that is not in the registry.
    """
    if task in TASKS:
        return TASKS[task]
    if " " in task.strip():
        return task.strip()
    near = get_close_matches(task, TASKS, n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise InputError(f"no task {task!r} in the registry; {hint}A sentence of your own works too")
