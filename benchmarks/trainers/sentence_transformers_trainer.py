"""SentenceTransformerTrainer with MultipleNegativesRankingLoss, or its cached form."""

import json
from pathlib import Path
from typing import Any

import sentence_transformers
from datasets import Dataset
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.losses import (
    CachedMultipleNegativesRankingLoss,
    MultipleNegativesRankingLoss,
)
from torch import Tensor, nn
from torch.utils.data import BatchSampler, SequentialSampler
from transformers import TrainerCallback, TrainerControl

from trainers.job import Job, Stopwatch, scratch

_PROMPTS = {"anchor": "query: ", "positive": "passage: "}


class _Ticks(TrainerCallback):
    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch

    def on_step_end(self, _arguments: Any, _state: Any, _control: TrainerControl, **_more: Any) -> None:  # noqa: ANN401
        self._watch.tick()


def _in_order(dataset: Dataset, batch_size: int, drop_last: bool, **_others: Any) -> BatchSampler:  # noqa: ANN401, FBT001
    """Take the rows one after the other: they already are in the order that efive draws."""
    return BatchSampler(SequentialSampler(dataset), batch_size, drop_last)


def _arguments(job: Job) -> SentenceTransformerTrainingArguments:
    return SentenceTransformerTrainingArguments(
        output_dir=job.scratch,
        max_steps=job.all_steps,
        per_device_train_batch_size=job.batch,
        learning_rate=job.rate,
        lr_scheduler_type="linear",
        warmup_steps=0,
        weight_decay=0.01,
        max_grad_norm=1.0,
        bf16=job.precision == "bf16",
        use_cpu=job.device == "cpu",
        prompts=_PROMPTS,
        batch_sampler=_in_order,
        seed=job.seed,
        save_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=job.device != "cpu",
    )


def _loss(job: Job, model: SentenceTransformer) -> nn.Module:
    if job.cached:
        return CachedMultipleNegativesRankingLoss(model, scale=1 / job.temperature, mini_batch_size=job.mini_batch)
    return MultipleNegativesRankingLoss(model, scale=1 / job.temperature)


def run(job: Job) -> dict[str, Any]:
    """Train and return times, losses and peak memory."""
    watch = Stopwatch(job)
    no_dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}  # efive's network has none
    model = SentenceTransformer(job.folder, device=job.device, config_kwargs=no_dropout)
    model.max_seq_length = job.passage_tokens
    records = [json.loads(line) for line in Path(job.pairs).read_text(encoding="utf-8").splitlines()]
    loss, values = _loss(job, model), list[Tensor]()
    loss.register_forward_hook(lambda _module, _inputs, value: values.append(value.detach().float()))
    trainer = SentenceTransformerTrainer(
        model=model,
        args=_arguments(job),
        train_dataset=Dataset.from_list([records[row] for row in job.order]),
        loss=loss,
        callbacks=[_Ticks(watch)],
    )
    scratch(job).mkdir(parents=True, exist_ok=True)
    trainer.train()
    return watch.answer([float(value) for value in values], sentence_transformers.__version__)
