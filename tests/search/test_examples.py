import json
from collections import Counter
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def rows(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (EXAMPLES / name).read_text(encoding="utf-8").splitlines()]


def test_passages_are_whole_and_of_many_languages():
    passages = rows("passages.jsonl")
    assert len(passages) >= 300
    for passage in passages:
        assert list(passage) == ["id", "lang", "title", "text"]
        assert all(value and value == value.strip() for value in passage.values())
        assert passage["id"].removeprefix("learn-").startswith(f"{passage['lang']}-")
    for unique in ("id", "title", "text"):
        assert len({passage[unique] for passage in passages}) == len(passages)
    languages = Counter(passage["lang"] for passage in passages)
    assert len(languages) >= 12
    assert min(languages.values()) >= 15


def test_every_question_is_answered_in_another_language():
    passages = {passage["id"]: passage for passage in rows("passages.jsonl")}
    questions = rows("questions.jsonl")
    assert len(questions) == 60
    for question in questions:
        assert list(question) == ["lang", "question", "answer"]
        assert passages[question["answer"]]["lang"] != question["lang"]
    answered = {question["answer"] for question in questions}
    assert len(answered) == len(questions)
    assert {passages[answer]["lang"] for answer in answered} == {passage["lang"] for passage in passages.values()}
