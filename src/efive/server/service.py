"""Service: what every protocol asks for. Roles, overflow, usage, limits and timings live here, once."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from efive.deployments.deployment import Deployment, Phase
from efive.deployments.manager import Deployments
from efive.deployments.state import State
from efive.embeddings import Embeddings
from efive.encoder import Encoder
from efive.engines.base import Floats
from efive.errors import InputError, NotReadyError, OverloadedError, TooLongError
from efive.inputs import Overflow, Role, TokenUsage
from efive.preparation import Prepared, Request, Silence, Span
from efive.server.access import ANYBODY, Access, Caller
from efive.server.collections import Collections
from efive.server.telemetry import Telemetry
from efive.space import Space
from efive.text.tokenizer import TokenIds
from efive.vectors import cut

_AT_ONCE = 4_000
"""Characters or token ids that are prepared on the event loop: less work than a change of threads."""
_DEFAULT = "default"

Input = str | Sequence[int]
"""A text, or the token ids of one in the model's own vocabulary, special tokens included."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may have."""

    inputs: int = 2048
    """Texts of one request."""
    body: int = 64 << 20
    """Bytes of a request's body, unpacked."""
    seconds: float = 120.0
    """Until an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedRequest:
    """What a protocol asks for."""

    model: str
    """As the client gave it; `:query`, `:passage` or `:raw` at its end is a role."""
    inputs: Sequence[Input]
    role: Role | None = None
    """None leaves it to the model's name, and to `otherwise`."""
    otherwise: Role = Role.RAW
    """The role where nobody says one."""
    overflow: Overflow = Overflow.END
    dimensions: int | None = None
    """Keep so many components and normalise again; None keeps all."""
    normalize: bool = True
    caller: Caller = ANYBODY
    door: str = "native"
    """Which protocol asks, for the metrics."""


@dataclass(slots=True)
class Timings:
    """Where the time of a request went, in seconds."""

    tokenize: float = 0.0
    queue: float = 0.0
    compute: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, slots=True)
class EmbedResult:
    """What a protocol makes its answer of."""

    vectors: Floats
    """(rows, dimension) float32, C-contiguous and finite."""
    usage: list[TokenUsage]
    """One per input."""
    spans: list[Span]
    """One per row."""
    role: Role
    model: str
    """The deployment's name."""
    space: Space
    timings: Timings
    cached: int
    """Rows that were known from before."""

    @property
    def tokens(self) -> int:
        """Tokens that the model read, all inputs together."""
        return sum(usage.tokens_used for usage in self.usage)

    @property
    def truncated(self) -> list[int]:
        """Numbers of the inputs that were cut."""
        return [index for index, usage in enumerate(self.usage) if usage.truncated]


@dataclass(slots=True)
class Service:
    """Everything that a door needs. Used on the event loop."""

    deployments: Deployments
    access: Access
    telemetry: Telemetry
    collections: Collections
    state: State
    """Where doors keep what must outlive the process."""
    home: Path
    """Where they keep files."""
    limits: Limits = field(default_factory=Limits)
    expected: frozenset[str] = frozenset()
    """Deployments that the server starts with."""
    waiting: set[str] = field(default_factory=set)
    """Those of them that it has not tried to start yet."""
    _default: str | None = None

    async def embed(self, request: EmbedRequest) -> EmbedResult:
        """Embed texts with the deployment that the request names.

        Raises:
            InputError: naming the index of an input that cannot be used.
            ModelNotFoundError: with the command that would bring the model.
            RateLimitError, NotReadyError, OverloadedError, DeadlineError, EngineCrashedError: see their names.
        """
        deployment, named = self.deployments.find(request.model)
        role = request.role or named or request.otherwise
        with self.telemetry.watch(request.door, deployment.name) as seen:
            begun = time.perf_counter()
            self._check(request)
            encoder = deployment.encoder
            prepared = await self._prepare(encoder, request, role)
            timings = Timings(tokenize=time.perf_counter() - begun)
            used = sum(len(row) for row in prepared.rows)
            self.access.charge(request.caller, used)
            try:
                answer = await deployment.compute(prepared.rows, self.limits.seconds)
            except (NotReadyError, OverloadedError):  # refused, so not to be paid for
                self.access.refund(request.caller, used)
                raise
            embeddings = await self._finish(encoder, prepared, answer.vectors, request)
            timings.queue, timings.compute = answer.queued, answer.computed
            timings.total = time.perf_counter() - begun
            result = EmbedResult(
                embeddings.vectors, prepared.usage, prepared.spans, role, deployment.name, encoder.space, timings,
                answer.cached,
            )  # fmt: skip
            seen(result)
            return result

    async def charge(self, caller: Caller, deployment: Deployment, texts: Sequence[str]) -> None:
        """Count texts against a caller's share that are embedded by another way than `embed`.

        Raises:
            RateLimitError: if it is used up.
        """
        if caller.tokens_per_minute is not None:
            count = deployment.encoder.tokenizer.count
            self.access.charge(caller, sum(await asyncio.to_thread(count, texts)))

    def _check(self, request: EmbedRequest) -> None:
        if not request.inputs:
            raise InputError("there are no inputs; send at least one text")
        if len(request.inputs) > self.limits.inputs:
            raise InputError(f"{len(request.inputs)} inputs; a request may have {self.limits.inputs}: send several")

    async def _prepare(self, encoder: Encoder, request: EmbedRequest, role: Role) -> Prepared:
        wanted = Request(role, request.overflow)
        at_once = sum(map(len, request.inputs)) <= _AT_ONCE
        if not all(isinstance(each, str) for each in request.inputs):
            if at_once:
                return from_ids(encoder, request.inputs, request.overflow)
            return await asyncio.to_thread(from_ids, encoder, request.inputs, request.overflow)
        if at_once:
            return encoder.prepare(request.inputs, wanted, notices=Silence())
        return await asyncio.to_thread(encoder.prepare, request.inputs, wanted, notices=Silence())

    async def _finish(self, encoder: Encoder, prepared: Prepared, pooled: Floats, request: EmbedRequest) -> Embeddings:
        finish = partial(encoder.finish, prepared, pooled, normalized=request.normalize)
        # What is not finite is computed again in fp32, which takes its time.
        found = finish() if np.isfinite(pooled).all() else await asyncio.to_thread(finish)
        if request.dimensions is None or request.dimensions == encoder.dimension:
            return found
        vectors = _shorter(found.vectors, request.dimensions, normalized=request.normalize)
        return Embeddings(vectors, found.usage, found.spans, found.space)

    def default(self) -> Deployment:
        """Return the deployment of requests that name none, always the same one: clients keep its vectors.

        It is the first that the server was told to serve; once that is deleted, the next one.

        Raises:
            NotReadyError: if it does not answer now, or the server has no model.
        """
        known = {each.name: each for each in self.deployments}
        name = self.state.get(_DEFAULT, _DEFAULT, str) if self._default is None else self._default
        if name not in known:
            if not known:
                raise NotReadyError("this server has no models; POST /deployments makes one")
            name = next(iter(known))
        if name != self._default:
            self.prefer(name)
        if known[name].phase is not Phase.READY:
            raise NotReadyError(
                f"{name}, which answers requests that name no model, is {known[name].phase}; GET /deployments says why"
            )
        return known[name]

    def prefer(self, name: str) -> None:
        """Let a deployment answer requests that name none, also after a restart."""
        self._default = name
        self.state.put(_DEFAULT, _DEFAULT, name)


def _shorter(vectors: Floats, dimensions: int, *, normalized: bool) -> Floats:
    unit = cut(vectors, dimensions)
    return unit if normalized else np.ascontiguousarray(vectors[:, :dimensions])


def from_ids(encoder: Encoder, inputs: Sequence[Input], overflow: Overflow) -> Prepared:
    """Return token ids that clients made themselves as model inputs.

    Raises:
        InputError: naming the index of an input that has ids beyond the vocabulary, or texts beside ids.
        TooLongError: if one is too long and the policy is `error`.
    """
    prepared, vocabulary = Prepared(), encoder.architecture.vocabulary
    for index, given in enumerate(inputs):
        if isinstance(given, str):
            raise InputError(f"input {index} is a text among token ids; send one or the other", index=index)
        ids = _ids(given, index, vocabulary)
        seen = len(ids)
        if seen > encoder.max_tokens:
            if overflow in {Overflow.ERROR, Overflow.CHUNK}:
                raise TooLongError(
                    f"input {index} has {seen} tokens; the model reads {encoder.max_tokens}", index=index
                )
            ids = encoder.tokenizer.cut(ids, encoder.max_tokens, keep_end=overflow is Overflow.START)
        prepared.add(ids, Span(index, 0, 0))
        prepared.usage.append(TokenUsage(seen, len(ids), truncated=len(ids) < seen))
    return prepared


def _ids(given: Sequence[int], index: int, vocabulary: int) -> TokenIds:
    if not given:
        raise InputError(f"input {index} is an empty list of token ids", index=index)
    least, most = min(given), max(given)
    if least < 0 or most >= vocabulary:
        wrong = least if least < 0 else most
        raise InputError(
            f"input {index} has the token id {wrong}, and the model's vocabulary ends at {vocabulary - 1}: these are "
            "another tokenizer's ids. Send the text itself (in LangChain: check_embedding_ctx_length=False)",
            index=index,
        )
    return np.asarray(given, dtype=np.int32)
