"""Encoder: texts with a role in, vectors of a named space out."""

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, Unpack

import numpy as np

from efive import gate, pipeline
from efive.embeddings import Embeddings, EmbedOptions, request_of
from efive.engines import select
from efive.engines.base import Engine, EngineInfo, Precision, TokenBatch
from efive.engines.hardware import Hardware, available_cpus, detect
from efive.errors import InputError, ModelFileError, NonFiniteError
from efive.inputs import Prompts, Role
from efive.models import checkpoint as checkpoints
from efive.models.architecture import Architecture, Kind
from efive.models.checkpoint import Checkpoint
from efive.models.digests import space_of
from efive.models.store import ModelStore
from efive.preparation import Notices, Prepared, Preparer, Request
from efive.remember import remembered
from efive.space import Space
from efive.text.batching import pad
from efive.text.tokenizer import TextTokenizer
from efive.vectors import Floats, normalize

_WINDOW = 256
"""Tokens of a window where a model does not say: about the length of the passages that E5 was trained on."""
_MISTRAL_END = 2  # `</s>`: the token that e5-mistral pools, which newer tokenizer files leave out


Start = Callable[[Checkpoint, select.Choice, Hardware, int], Engine]
"""Starts the chosen engine on a checkpoint, with so many threads."""


class Encoder:
    """A loaded model. Safe to use from several threads; close it, or use it in a `with` block."""

    def __init__(self, checkpoint: Checkpoint, tokenizer: TextTokenizer, engine: Engine, setup: "_Setup") -> None:
        """Put the parts together. Use `Encoder.load`."""
        self._checkpoint = checkpoint
        self._setup = setup
        self._engine = engine
        self._exact: Engine | None = None
        self._space: Space | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._preparer = Preparer(tokenizer, checkpoint.prompts, checkpoint.max_tokens)

    @classmethod
    def load(  # noqa: PLR0913 - options, each by its name
        cls,
        model: str | Path | None = None,
        *,
        engine: str = "auto",
        precision: str = "auto",
        device: str | None = None,
        task: str | None = None,
        max_tokens: int | None = None,
        threads: int | None = None,
        start: Start | None = None,
    ) -> Self:
        """Load a model from this machine. Nothing is downloaded: `efive models pull` does that.

        Args:
            model: a folder, the name of a stored model, or None for the bundled model.
            engine: `auto`, `openvino`, `torch`, `native` (x86-64 CPUs, where it is built), or `torch-compiled`, whose
                first texts take about a minute longer: for many texts on a GPU.
            precision: `auto`, `fp32`, `bf16`, `int8` (openvino, native), `fp16` and `fp8` (torch). Each is a space of
                its own.
            device: `cpu`, `cuda` (all of them), `cuda:1`, `cuda:0,cuda:2`, `mps`; None lets `auto` choose.
            task: for instruct models, a task of the registry or a sentence that says what queries ask for.
            max_tokens: input limit in tokens, prefix and special tokens included; None is the model's own (512).
            threads: processors to use; None is all that this process may use.
            start: starts the engine; None starts it here, and a server starts processes.

        Raises:
            ModelNotFoundError: if the model is not here.
            ModelError: if its files are damaged or no E5 model.
            EngineError: if the engine cannot run it as asked; `PrecisionRefusedError` if int8 or fp8 fails its gate.
            DependencyError: if it needs torch and torch is not installed.
            InputError: for an option that does not exist.
        """
        if threads is not None and threads < 1:
            raise InputError(f"threads is {threads}; it must be at least 1")
        store = ModelStore()
        checkpoint = checkpoints.read(store.resolve(model))
        if task is not None:
            checkpoint = checkpoint.with_task(task)
        if max_tokens is not None:
            checkpoint = checkpoint.with_max_tokens(max_tokens)
        hardware = detect()
        choice = select.choose(checkpoint.architecture, hardware, engine, precision, device)
        setup = _Setup(choice, hardware, threads or available_cpus(), store.cache)
        # A vocabulary of 250,000 pieces takes as long to read as a graph to compile: do both at once.
        with ThreadPoolExecutor(1) as aside:
            reading = aside.submit(_load_tokenizer, checkpoint)
            started = (start or partial(select.start, cache=store.cache))(checkpoint, choice, hardware, setup.threads)
            tokenizer = reading.result()
        encoder = cls(checkpoint, tokenizer, started, setup)
        if choice.precision in {Precision.INT8, Precision.FP8}:
            try:
                encoder._pass_gate()
            except BaseException:
                encoder.close()
                raise
        return encoder

    @property
    def engine_info(self) -> EngineInfo:
        """What computes the vectors."""
        return self._engine.info

    @property
    def reason(self) -> str:
        """Why this engine, device and precision."""
        return self._setup.choice.reason

    @property
    def dimension(self) -> int:
        """Components of a vector."""
        return self._checkpoint.architecture.hidden

    @property
    def max_tokens(self) -> int:
        """Tokens that one vector can stand for, prefix and special tokens included."""
        return self._checkpoint.max_tokens

    @property
    def window(self) -> int:
        """Tokens of the windows in which long passages are best embedded for search: as the model's files say."""
        return min(self.max_tokens, self._checkpoint.window or _WINDOW)

    @property
    def prompts(self) -> Prompts:
        """What is put before queries and passages."""
        return self._checkpoint.prompts

    @property
    def space(self) -> Space:
        """The space that the vectors live in. The first call hashes the weights; later ones remember."""
        if self._space is None:
            self._space = space_of(self._checkpoint, self.engine_info.precision, self._setup.cache)
        return self._space

    def arithmetic(self, tokens: int) -> float:
        """Return the floating-point operations per token for inputs of `tokens` tokens."""
        return self._checkpoint.architecture.arithmetic(tokens)

    def windows(
        self, text: str, *, size: int | None = None, overlap: int = 0, context: str = ""
    ) -> tuple[str, list[tuple[int, int]]]:
        """Divide a passage into windows at the ends of sentences, as far as there are any.

        Args:
            text: the bare text.
            size: tokens of a window with prefix, special tokens and context; None is `window`.
            overlap: tokens that neighbours share, at most.
            context: what will be put before each window when it is embedded, such as headings.

        Returns:
            The context, cut from its beginning to at most a third of the window, and each window's characters.

        Raises:
            InputError: if `size` is more than the model reads, or leaves no room for text.
        """
        size = self.window if size is None else size
        if size > self.max_tokens:
            raise InputError(f"windows of {size} tokens are more than the {self.max_tokens} that the model reads")
        return self._preparer.windows(text, size, overlap, context)

    def embed_queries(self, texts: Iterable[str], **options: Unpack[EmbedOptions]) -> Embeddings:
        """Embed texts that ask: `embed` with role `query`. Symmetric tasks use this on both sides."""
        return self.embed(texts, Role.QUERY, **options)

    def embed_passages(self, texts: Iterable[str], **options: Unpack[EmbedOptions]) -> Embeddings:
        """Embed texts that answer: `embed` with role `passage`."""
        return self.embed(texts, Role.PASSAGE, **options)

    def embed(self, texts: Iterable[str], role: Role | str, **options: Unpack[EmbedOptions]) -> Embeddings:
        """Embed a list or a generator of texts of any length; `EmbedOptions` lists the options.

        Raises:
            InputError: naming the index of a text that cannot be used, or an option that does not exist.
            TooLongError: with `overflow="error"`, for a text beyond the token limit.
            NonFiniteError: if a vector is NaN or infinite even in fp32.
        """
        parts = list(self.stream(texts, role, **options))
        vectors = [part.vectors for part in parts] or [np.empty((0, self.dimension), dtype=np.float32)]
        return Embeddings(
            vectors=vectors[0] if len(vectors) == 1 else np.concatenate(vectors),
            usage=[usage for part in parts for usage in part.usage],
            spans=[span for part in parts for span in part.spans],
            space=self.space,
        )

    def stream(self, texts: Iterable[str], role: Role | str, **options: Unpack[EmbedOptions]) -> Iterator[Embeddings]:
        """Embed like `embed`, block by block in the order of `texts`: memory stays bounded however many come.

        Indices in spans and errors count from the first text of the call.
        """
        if isinstance(texts, str):
            raise InputError("texts is one str; pass a list of texts, [text] for a single one")
        if not isinstance(texts, Iterable):
            raise InputError(f"texts is {type(texts).__name__}; pass a list or a generator of texts")
        return self._stream(texts, request_of(role, options), options.get("progress") or _nothing)

    def _stream(self, texts: Iterable[str], request: Request, done: Callable[[int], None]) -> Iterator[Embeddings]:
        notices = Notices()

        def prepare(block: pipeline.Block) -> Prepared:
            return self.prepare(block.texts, request, block.first, notices)

        incoming = pipeline.blocks(texts, pipeline.block_size(self._engine))
        for prepared, pooled in pipeline.run(self._engine, incoming, prepare, self.pad_id, done):
            yield self.finish(prepared, pooled)

    def prepare(
        self, texts: Sequence[object], request: Request, first: int = 0, notices: Notices | None = None
    ) -> Prepared:
        """Return the token ids of texts, for callers that feed an engine themselves; `finish` takes its vectors.

        Raises:
            InputError: as `embed`; texts count from `first`.
        """
        return self._preparer.prepare(texts, request, first, notices or Notices())

    def finish(self, prepared: Prepared, pooled: Floats, *, normalized: bool = True) -> Embeddings:
        """Return what `embed` returns, from an engine's vectors (rows, dimension), which may be written to.

        Args:
            prepared: the inputs.
            pooled: their vectors.
            normalized: whether to bring them to length 1.

        Raises:
            NonFiniteError: if a vector is NaN or infinite even in fp32.
        """
        finite = self._finite(prepared, pooled)
        return Embeddings(normalize(finite) if normalized else finite, prepared.usage, prepared.spans, self.space)

    @property
    def tokenizer(self) -> TextTokenizer:
        """The model's tokenizer."""
        return self._preparer.tokenizer

    @property
    def folder(self) -> Path:
        """Where the model's files are."""
        return self._checkpoint.folder

    @property
    def architecture(self) -> Architecture:
        """The sizes of the network."""
        return self._checkpoint.architecture

    @property
    def pad_id(self) -> int:
        """The id that fills rows up."""
        # Padding is masked everywhere; the tokenizer's id is the one that the model was trained with.
        known = self._preparer.tokenizer.pad_id
        return self._checkpoint.architecture.pad_id if known is None else known

    def _finite(self, prepared: Prepared, pooled: Floats) -> Floats:
        """Compute again in fp32 what is not finite."""
        bad = np.flatnonzero(~np.isfinite(pooled).all(axis=1))
        for row in bad:
            ids, lengths = pad([prepared.rows[row]], self.pad_id)
            pooled[row] = self._exact_engine().embed(TokenBatch(ids, lengths))[0]
            if not np.isfinite(pooled[row]).all():
                index = prepared.spans[row].input
                raise NonFiniteError(
                    f"text {index} gives a vector that is not finite, in fp32 too: the weights in "
                    f"{self._checkpoint.folder} are damaged or overflow on this text",
                    index=index,
                )
        return pooled

    def _exact_engine(self) -> Engine:
        """The same model in fp32, started when first needed."""
        if self.engine_info.precision is Precision.FP32:
            return self._engine
        with self._lock:
            if self._exact is None:
                setup = self._setup
                self._exact = select.start(self._checkpoint, setup.choice.exact(), setup.hardware, setup.threads)
            return self._exact

    def _pass_gate(self) -> None:
        info = self.engine_info

        def measure() -> str:
            lowest = gate.lowest_cosine(
                self._exact_engine(), self._engine, self._preparer.tokenizer, self.prompts, self.max_tokens
            )
            return f"{lowest:.6f}"

        cosine = float(
            remembered(self._setup.cache, [f"{info.precision} gate", info.name, self.space.fingerprint], measure)
        )
        if self._exact is not None:  # it took the gate's measure and is seldom needed again
            self._exact.close()
            self._exact = None
        gate.judge(cosine, info.precision, self._checkpoint.folder.name)

    def warmup(self) -> None:
        """Run once, so that the first real call is as fast as the others."""
        self._engine.warmup()

    def save(self, folder: str | Path, *, compact: bool = False) -> None:
        """Write the model as a folder that efive, sentence-transformers and transformers load alike.

        With `compact`, matrices are kept as int8 with a scale per row: a quarter of the size, for efive only, and
        a space of its own, for the values are rounded.

        Raises:
            InputError: if the folder exists and is not empty.
        """
        checkpoints.write(self._checkpoint, Path(folder), compact=compact)

    def close(self) -> None:
        """Wait for what is running and release the engine's memory; a second call does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        for engine in (self._engine, self._exact):
            if engine is not None:
                engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class _Setup:
    """How the engine was started, to start another the same way."""

    choice: select.Choice
    hardware: Hardware
    threads: int
    cache: Path


def _nothing(_rows: int) -> None:
    """Report progress to nobody."""


def _load_tokenizer(checkpoint: Checkpoint) -> TextTokenizer:
    mistral = checkpoint.architecture.kind is Kind.MISTRAL
    tokenizer = TextTokenizer.load(checkpoint.tokenizer_file, end_id=_MISTRAL_END if mistral else None)
    rows = checkpoint.architecture.vocabulary
    if tokenizer.vocabulary_size > rows:
        raise ModelFileError(
            f"{checkpoint.tokenizer_file} makes {tokenizer.vocabulary_size} ids and the embedding table has "
            f"{rows} rows: the files are of different models"
        )
    return tokenizer
