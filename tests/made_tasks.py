"""Tasks of mteb from data of ours."""

ANSWERS = {
    "q0": ("how high is the mountain", "The mountain rises to five thousand metres."),
    "q1": ("when does the train leave", "The train leaves at nine in the morning."),
    "q2": ("what do cats eat", "Cats eat fish and mice."),
}
SAME = [("a cat sleeps", "a cat is asleep", 5.0), ("a cat sleeps", "trains are late", 0.0), ("red", "blue", 2.0)]


def make(name, kind):
    """Return a task: `STS`, or one of retrieval such as `Retrieval` and `Reranking`."""
    return _sts(name) if kind == "STS" else _retrieval(name, kind)


def _metadata(name, kind, main):
    from mteb.abstasks.task_metadata import TaskMetadata

    return TaskMetadata(
        name=name, type=kind, main_score=main, description="made for a test", reference="https://example.org",
        dataset={"path": "none", "revision": "1"}, category="t2t", eval_splits=["test"], eval_langs=["eng-Latn"],
        date=("2026-01-01", "2026-01-01"), dialect=[], domains=[], task_subtypes=[], license="cc0-1.0",
        annotations_creators="derived", modalities=["text"], sample_creation="created", bibtex_citation="",
    )  # fmt: skip


def _retrieval(name, kind):
    from datasets import Dataset
    from mteb.abstasks.retrieval import AbsTaskRetrieval
    from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData

    class Made(AbsTaskRetrieval):
        def load_data(self, *_args, **_options):
            ids = list(ANSWERS)
            self.dataset = {
                "default": {
                    "test": RetrievalSplitData(
                        queries=Dataset.from_list([{"id": i, "text": ANSWERS[i][0]} for i in ids]),
                        corpus=Dataset.from_list([{"id": f"d{i}", "title": "", "text": ANSWERS[i][1]} for i in ids]),
                        relevant_docs={i: {f"d{i}": 1} for i in ids},
                        top_ranked={i: [f"d{j}" for j in ids] for i in ids} if kind == "Reranking" else None,
                    )
                }
            }
            self.data_loaded = True

    Made.metadata = _metadata(name, kind, "ndcg_at_10")
    return Made()


def _sts(name):
    from datasets import Dataset, DatasetDict
    from mteb.abstasks.sts import AbsTaskSTS

    class Made(AbsTaskSTS):
        min_score, max_score = 0, 5

        def load_data(self, *_args, **_options):
            columns = zip(("sentence1", "sentence2", "score"), zip(*SAME, strict=True), strict=True)
            self.dataset = DatasetDict({"test": Dataset.from_dict({key: list(values) for key, values in columns})})
            self.data_loaded = True

    Made.metadata = _metadata(name, "STS", "cosine_spearman")
    return Made()
