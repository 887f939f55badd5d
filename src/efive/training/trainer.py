"""The training loop: draw, encode, learn, note, save."""

import json
import math
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from efive.encoder import Encoder
from efive.engines.hardware import available_cpus, detect
from efive.errors import DivergenceError, InputError
from efive.models import checkpoint as checkpoints
from efive.models import network as networks
from efive.models.checkpoint import Checkpoint
from efive.models.store import ModelStore
from efive.training import lora, losses
from efive.training.batches import Inputs
from efive.training.card import write_card
from efive.training.gradients import Gradients, LossOfRows, Passing
from efive.training.heldout import measure
from efive.training.optimizer import Optimizer
from efive.training.processes import Processes
from efive.training.runs import Log, RunFolder
from efive.training.sampling import Sampler
from efive.training.settings import Settings
from efive.training.sources import Feed, HeldOut, held_out, open_feeds, strata
from efive.training.tokens import Coder

if TYPE_CHECKING:
    from efive.training.sharding import Shards

_SMOOTH = 0.98
_PATIENCE = 50
"""Steps before a rising loss may count as divergence."""


@dataclass(slots=True)
class Watch:
    """Notices a loss that runs away: smoothed, it is more than twice its lowest value, and one more."""

    smooth: float = math.nan
    lowest: float = math.inf
    seen: int = 0

    def runs_away(self, loss: float) -> bool:
        """Take in the loss of one more step."""
        self.seen += 1
        self.smooth = loss if math.isnan(self.smooth) else _SMOOTH * self.smooth + (1 - _SMOOTH) * loss
        if self.seen <= _PATIENCE:
            return False
        self.lowest = min(self.lowest, self.smooth)
        return self.smooth > 2 * self.lowest + 1


@dataclass(frozen=True, slots=True)
class Report:
    """One step, for a progress bar."""

    step: int
    steps: int
    loss: float
    examples: int
    measured: dict[str, float] | None = None
    """Figures of the held-out sets, after a measurement."""


def train(
    settings: Settings,
    output: Path,
    *,
    cache: Path | None = None,
    skip_bad: int = 0,
    report: Callable[[Report], None] = lambda _report: None,
    say: Callable[[str], None] = lambda _line: None,
) -> Path:
    """Train a model as `settings` say and return its folder, `output/model`.

    The same call goes on where a killed run stopped. Under torchrun the processes share each batch.

    Args:
        settings: what to do.
        output: the run's folder; efive.training.runs says what lies in it.
        cache: where token tables and teacher's vectors are kept; None is `output/data`. Runs may share one.
        skip_bad: how many unusable records the sources may have; they are left out.
        report: told of each step, in the first process.
        say: told what goes on, in sentences, in the first process.

    Raises:
        InputError: for a setting, a source or a record that cannot be used.
        DivergenceError: if the loss is NaN or runs away; the last checkpoint is good.
    """
    device = settings.device or ("cuda" if torch.cuda.is_available() else "cpu")
    tables = cache or output / "data"
    processes = Processes.join(device)
    if device == "cuda" and processes.size > 1:
        device = f"cuda:{processes.rank % processes.neighbours}"
    run = RunFolder(output, writes=processes.first, keep=settings.keep)
    if not processes.first:
        report, say = (lambda _report: None), (lambda _line: None)
    try:
        if settings.shard and processes.size == 1:
            raise InputError(
                "shard spreads a model over several processes and this is one: start it with "
                "`torchrun --nproc-per-node N -m efive train …`, or leave shard out"
            )
        run.begin(json.loads(msgspec.json.encode(settings)), processes.wait)
        processes.wait()
        checkpoint = checkpoints.read(ModelStore().resolve(settings.model))
        coder = Coder.of(checkpoint)
        if processes.first:
            open_feeds(settings, coder, tables, skip_bad, say)
        processes.wait()
        feeds = open_feeds(settings, coder, tables, skip_bad)
        run.write("data.json", [feed.described() for feed in feeds])
        trainer = _Trainer(msgspec.structs.replace(settings, device=device), run, processes, checkpoint, feeds)
        if processes.first:
            trainer.held_out = list(held_out(feeds, settings, skip_bad))
        return trainer.run(report, say)
    finally:
        processes.leave()


def _passing(settings: Settings, checkpoint: Checkpoint, device: str, processes: Processes) -> Passing:
    threads = device == "cpu" and not settings.shard  # threads would exchange weights in any order
    return Passing(
        pooling=checkpoint.pooling,
        device=device,
        bf16=settings.precision == "bf16" or (settings.precision == "auto" and _multiplies_bf16(device)),
        chunk_tokens=settings.chunk_tokens or (2048 if device == "cpu" else 32768),
        keep_tokens=settings.keep_tokens,
        workers=settings.workers or max(1, available_cpus() // processes.neighbours) if threads else 1,
    )


def _multiplies_bf16(device: str) -> bool:
    return torch.cuda.is_bf16_supported() if device.startswith("cuda") else device == "cpu" and detect().native_bf16


def _steps(settings: Settings, sampler: Sampler) -> int:
    if settings.steps is not None:
        return settings.steps
    examples = sum(stratum.size for stratum in sampler.strata)
    return max(1, round((settings.epochs or 1) * examples / (settings.batch * settings.batches)))


class _Trainer:
    """What one run holds in memory."""

    def __init__(
        self, settings: Settings, run: RunFolder, processes: Processes, checkpoint: Checkpoint, feeds: list[Feed]
    ) -> None:
        device = settings.device or "cpu"
        self.settings = settings
        self.folder = run
        self.processes = processes
        self.checkpoint = checkpoint
        self.feeds = feeds
        self.sampler = Sampler(strata(feeds, settings), settings.seed)
        self.steps = _steps(settings, self.sampler)
        torch.manual_seed(settings.seed)
        passing = _passing(settings, checkpoint, device, processes)
        self.shards: Shards | None = None
        if settings.shard:
            from efive.training import sharding  # noqa: PLC0415 - FSDP takes a second to import

            network = sharding.load(checkpoint, settings.lora, device, bf16=passing.bf16)
            self.shards = sharding.Shards(network, processes)
        else:
            network = networks.load(checkpoint.architecture, checkpoint.tensors, device=device)
            if settings.lora:
                lora.attach(network, settings.lora)
        self.gradients = Gradients(network, passing, processes, self.shards)
        self.optimizer = Optimizer(self.gradients.parameters, self.gradients.token_rows, settings.learning)
        self.held_out: list[HeldOut] = []
        self.bank = torch.empty(0)
        self.step = 0
        self.watch = Watch()

    def run(self, report: Callable[[Report], None], say: Callable[[str], None]) -> Path:
        """Train from where the folder stands to the end and return the model's folder."""
        self._resume(say)
        with Log(self.folder, self.step) as log:
            if self.step == 0:
                self._measure(log, report)
            while self.step < self.steps:
                began = time.monotonic()
                noted, examples = self._learn()
                self.step += 1
                seconds = time.monotonic() - began
                log.add(self.step, noted | {"examples_per_second": examples / seconds})
                report(Report(self.step, self.steps, self.watch.smooth, examples))
                if self.step % self.settings.save_every == 0 or self.step == self.steps:
                    self._save()
                    self._measure(log, report)
        self.gradients.close()
        self._finish()
        self.processes.wait()
        return self.folder.model

    def _learn(self) -> tuple[dict[str, float], int]:
        """Do one step and return what to note of it, and how many examples it saw."""
        noted: dict[str, float] = {}
        total, examples, tokens = 0.0, 0, 0
        share = 1 / self.settings.batches
        places = []
        for _ in range(self.settings.batches):
            draw = self.sampler.next()
            feed = self.feeds[draw.source]
            inputs = feed.inputs(draw)
            value = self.gradients.add(inputs.texts, self._loss(feed, inputs), inputs.rows, share)
            self._remember(inputs)
            places.append(f"{feed.name} (examples {', '.join(map(str, draw.examples[:3]))} …)")
            noted[f"loss/{feed.objective}/{feed.name}"] = value
            total += share * value
            examples += len(draw.examples)
            tokens += inputs.tokens
        norm = self.gradients.collect()
        self._check(total, norm, places)
        noted["learning_rate"] = self.optimizer.update(self.step, self.steps, norm)
        return {"loss": total, "gradient_norm": norm, "tokens": tokens, "examples": examples} | noted, examples

    def _loss(self, feed: Feed, inputs: Inputs) -> LossOfRows:
        chosen, device = self.settings.loss, self.gradients.passing.device
        if inputs.targets is not None:
            targets = torch.from_numpy(inputs.targets).to(device)
            bank = torch.cat([targets, self.bank.to(device)]) if len(self.bank) else targets
            return lambda vectors, rows: losses.imitation(
                vectors, targets, bank, rows, chosen.imitation_temperature, chosen.cosine_weight
            )
        members, query_keys, passage_keys = (
            torch.from_numpy(a).to(device) for a in (inputs.members, inputs.query_keys, inputs.passage_keys)
        )
        scores = None if inputs.scores is None else torch.from_numpy(inputs.scores).to(device)
        contrast = losses.Contrast(
            temperature=chosen.temperature,
            symmetric=feed.source.symmetric or chosen.both_ways,
            same_tower=chosen.same_tower,
            margin=chosen.margin,
            hard_negatives=not (chosen.mask_hard_negatives and scores is not None),
        )

        def of_batch(batch: losses.Batch, rows: slice) -> Tensor:
            if scores is None:
                return losses.contrastive(batch, rows, contrast)
            taught = losses.distillation(batch, rows, chosen.temperature, chosen.teacher_temperature)
            if not chosen.contrastive_weight:
                return taught
            return taught + chosen.contrastive_weight * losses.contrastive(batch, rows, contrast)

        def of_rows(vectors: Tensor, rows: slice) -> Tensor:
            batch = losses.Batch(
                vectors[: inputs.queries], vectors[inputs.queries :], members, query_keys, passage_keys, scores
            )
            if not chosen.matryoshka:
                return of_batch(batch, rows)
            return losses.matryoshka(partial(of_batch, rows=rows), batch, chosen.matryoshka)

        return of_rows

    def _remember(self, inputs: Inputs) -> None:
        """Keep the teacher's vectors of recent texts: the bank of the next batches."""
        if inputs.targets is not None and self.settings.loss.bank:
            self.bank = torch.cat([torch.from_numpy(inputs.targets), self.bank])[: self.settings.loss.bank]

    def _check(self, loss: float, norm: float, places: list[str]) -> None:
        away = self.watch.runs_away(loss)
        if math.isfinite(loss) and math.isfinite(norm) and not away:
            return
        watch = self.watch
        what = f"runs away ({watch.smooth:.3g} after {watch.lowest:.3g})" if away else f"is {loss}, its gradient {norm}"
        latest = self.folder.latest_model()
        kept = f"The last checkpoint, {latest.parent}, is good" if latest else "No checkpoint was saved before"
        raise DivergenceError(
            f"the loss {what} at step {self.step} on {'; '.join(places)}. {kept}; lower the learning rate, "
            "raise the temperature, or train in fp32",
            step=self.step,
        )

    def _resume(self, say: Callable[[str], None]) -> None:
        latest = self.folder.latest(mapped=self.settings.shard)
        if latest is None:
            return
        folder, state = latest
        network, weights = self.gradients.network, checkpoints.read(folder / "model").tensors
        if self.settings.lora:
            weights = networks.stored_tensors(state["adapters"])
        if self.shards:
            self.shards.fill(weights)
            self.optimizer.restore(state["optimizer"], self.shards.cut)
        else:
            own = network.state_dict()
            for name, tensor in weights.items():
                own[name].copy_(torch.from_numpy(np.array(tensor.floats())))
            self.optimizer.restore(state["optimizer"])
        self.sampler.drawn = list(state["drawn"])
        self.bank = state["bank"]
        self.step, self.watch = state["step"], Watch(**state["watch"])
        say(f"goes on at step {self.step} of {self.steps}")

    def _save(self) -> None:
        state: dict[str, Any] = {
            "step": self.step,
            "watch": asdict(self.watch),
            "drawn": self.sampler.drawn,
            "bank": self.bank,
            "optimizer": self.optimizer.state(self.shards.join) if self.shards else self.optimizer.state(),
        }
        if self.settings.lora:
            state["adapters"] = self._whole(lora.adapters(self.gradients.network))
        trained = self._trained()
        if self.processes.first:
            draft = self.folder.draft(self.step)
            checkpoints.write(trained, draft / "model")
            self.folder.commit(draft, state)
        self.processes.wait()

    def _finish(self) -> None:
        """Write the result; it is there whole or not at all, for `model` says that the run is finished."""
        trained = self._trained()
        if not self.processes.first:
            return
        draft = self.folder.model.with_suffix(".part")
        shutil.rmtree(draft, ignore_errors=True)
        checkpoints.write(trained, draft)
        draft.rename(self.folder.model)
        write_card(self.folder.root)

    def _trained(self) -> Checkpoint:
        """The checkpoint with the weights as they are now; only the first process's has them."""
        network = self.gradients.network
        weights: dict[str, Tensor] = {}
        if self.processes.first or self.shards:  # sharded weights come together only if all processes ask for them
            weights = self._whole(lora.merged(network) if self.settings.lora else network.state_dict())
        return replace(self.checkpoint, tensors=networks.stored_tensors(weights))

    def _whole(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return self.shards.whole(weights) if self.shards else weights

    def _measure(self, log: Log, report: Callable[[Report], None]) -> None:
        """Measure the model as it was last saved, through the encoder that users will have."""
        if self.processes.first and self.held_out:
            latest = self.folder.latest_model()
            with Encoder.load(latest or self.checkpoint.folder, precision="fp32") as encoder:
                figures = {
                    f"{each.name} {name}": value
                    for each in self.held_out
                    for name, value in measure(encoder, each).items()
                }
            log.add(self.step, {f"held_out/{name}": value for name, value in figures.items()})
            report(Report(self.step, self.steps, self.watch.smooth, 0, figures))
        self.processes.wait()
