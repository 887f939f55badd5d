"""Everything efive raises on purpose, one tree, one stable word each.

EfiveError
├── InputError                 invalid_input        a text, a role or an option cannot be used as given
│   ├── TooLongError           too_long             a text exceeds the limit and the policy is `error`
│   └── PrefixError            prefix_present       strict mode met a text that already carries a prefix
├── ModelError                 invalid_model        a folder is no model that efive can read
│   ├── ModelNotFoundError     model_not_found      no model of that name is on this machine
│   └── ModelFileError         model_file           a file is missing, torn, oversized or altered
├── EngineError                engine               an engine cannot run this model as asked
│   ├── PrecisionRefusedError  precision_refused    a precision failed its quality gate
│   └── NonFiniteError         non_finite           a vector came out as NaN or infinity, in fp32 too
├── TrainingError              training             a run cannot go on
│   └── DivergenceError        divergence           the loss is NaN, infinite or running away
├── HubError                   hub                  the model hub could not be reached or did not answer right
├── CollectionError            collection           a collection cannot be used as asked
│   ├── CollectionNotFoundError  collection_not_found  there is no collection of that name
│   ├── CollectionBusyError    collection_busy      another process is writing to it
│   └── StoreError             store                its files cannot be read or written: damaged, disk full
├── DeploymentError            deployment           a model cannot be deployed, or its deployment not used, as asked
│   ├── NotReadyError          not_ready            it is starting, stopping, stopped or has failed
│   ├── OverloadedError        overloaded           its queue is full; `retry_after` says when to try again
│   ├── DeadlineError          deadline             the answer would have come too late
│   └── EngineCrashedError     engine_crashed       the process of an engine ended in the middle of its work
├── AccessError                access               a request is not allowed
│   ├── UnauthenticatedError   unauthenticated      it carries no key, or one that is not known
│   ├── ForbiddenError         forbidden            its key is not for this
│   └── RateLimitError         rate_limited         its key has used up its share; `retry_after` says until when
├── SpaceMismatchError         space_mismatch       vectors of two spaces were about to be mixed
└── DependencyError            missing_dependency   an optional package is not installed

The word (`error.code`) never changes; the sentence may become clearer.
"""


class EfiveError(Exception):
    """Base of every error that efive raises on purpose."""

    code = "efive_error"


class InputError(EfiveError, ValueError):
    """A text, a role or an option cannot be used as given.

    `index` is the 0-based position of the offending text among the inputs, where there is one.
    """

    code = "invalid_input"

    def __init__(self, message: str, *, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index


class TooLongError(InputError):
    """A text has more tokens than the model reads and the overflow policy is `error`.

    `fact` is the message without the way out, which every door of the server calls by another name.
    """

    code = "too_long"

    def __init__(self, fact: str, way_out: str = "", *, index: int | None = None) -> None:
        super().__init__(f"{fact}. {way_out}" if way_out else fact, index=index)
        self.fact = fact


class PrefixError(InputError):
    """Strict mode met a text that already begins with a prefix of this model."""

    code = "prefix_present"


class ModelError(EfiveError):
    """A folder or a configuration is no model that efive can read."""

    code = "invalid_model"


class ModelNotFoundError(ModelError):
    """No model of that name is on this machine."""

    code = "model_not_found"


class ModelFileError(ModelError):
    """A file of a model is missing, torn, oversized or altered."""

    code = "model_file"


class EngineError(EfiveError):
    """An engine cannot run this model as asked."""

    code = "engine"


class PrecisionRefusedError(EngineError):
    """A reduced precision failed its quality gate on this model."""

    code = "precision_refused"


class NonFiniteError(EngineError):
    """A vector is NaN or infinite even after the fp32 retry; `index` is the text's position among the inputs."""

    code = "non_finite"

    def __init__(self, message: str, *, index: int) -> None:
        super().__init__(message)
        self.index = index


class TrainingError(EfiveError):
    """A training run cannot go on."""

    code = "training"


class DivergenceError(TrainingError):
    """The loss or its gradient is NaN, infinite or running away; `step` is where. The last checkpoint is good."""

    code = "divergence"

    def __init__(self, message: str, *, step: int) -> None:
        super().__init__(message)
        self.step = step


class HubError(EfiveError):
    """The model hub could not be reached or did not answer as it should."""

    code = "hub"


class CollectionError(EfiveError):
    """A collection cannot be used as asked."""

    code = "collection"


class CollectionNotFoundError(CollectionError):
    """There is no collection of that name."""

    code = "collection_not_found"


class CollectionBusyError(CollectionError):
    """Another process is writing to the collection; readers are never in the way."""

    code = "collection_busy"


class StoreError(CollectionError):
    """The files of a collection cannot be read or written: they are damaged, or the disk is full."""

    code = "store"


class DeploymentError(EfiveError):
    """A model cannot be deployed, or its deployment not be used, as asked."""

    code = "deployment"


class NotReadyError(DeploymentError):
    """A deployment answers no requests: it is starting, stopping, stopped or has failed."""

    code = "not_ready"


class OverloadedError(DeploymentError):
    """A deployment's queue is full; `retry_after` is a good time to wait, in seconds."""

    code = "overloaded"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineError(DeploymentError):
    """The answer would have come too late, and nobody waits for it any more."""

    code = "deadline"


class EngineCrashedError(DeploymentError):
    """The process of an engine ended in the middle of its work."""

    code = "engine_crashed"


class AccessError(EfiveError):
    """A request is not allowed."""

    code = "access"


class UnauthenticatedError(AccessError):
    """A request carries no key, or one that is not known."""

    code = "unauthenticated"


class ForbiddenError(AccessError):
    """A key is not for what was asked."""

    code = "forbidden"


class RateLimitError(AccessError):
    """A key has used up its share; `retry_after` is until when, in seconds."""

    code = "rate_limited"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class SpaceMismatchError(EfiveError):
    """Vectors of two different spaces were about to be mixed."""

    code = "space_mismatch"


class DependencyError(EfiveError, ImportError):
    """An optional package is needed for this and is not installed."""

    code = "missing_dependency"


class EfiveWarning(UserWarning):
    """Base of what efive warns of: the call succeeds, and something about its input deserves a look."""


class PrefixWarning(EfiveWarning):
    """A text already began with a prefix of the model; it was not prefixed twice."""


class TruncationWarning(EfiveWarning):
    """A text was longer than the model reads and was cut, as the overflow policy says."""


class EmptyTextWarning(EfiveWarning):
    """A text was empty; its vector carries nothing but the prefix."""
