"""What the dialogs about deployments ask for, and the settings that it makes. No pixels."""

import math
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import msgspec

from efive.deployments import settings
from efive.deployments.manager import Deployments
from efive.deployments.settings import Settings
from efive.engines.base import Precision
from efive.errors import InputError
from efive.models.store import BUNDLED

FOLDER = "\0folder"
"""The choice of a folder instead of a stored model; no model can be called that."""
PRECISIONS = ("auto", Precision.FP32, Precision.BF16, Precision.FP16, Precision.INT8)


@dataclass
class Form:
    """What the start dialog asks for; numbers as the fields give them."""

    model: str = BUNDLED
    folder: str = ""
    name: str = ""
    low_priority: bool = False
    engine: str = "auto"
    precision: str = "auto"
    allocations: float | None = 1
    threads: float | None = None
    adaptive: bool = False
    least: float | None = 0
    most: float | None = 2
    idle: float | None = 900
    requests: float | None = 4096
    wait: float | None = 20
    max_tokens: float | None = None
    task: str = ""

    @property
    def chosen(self) -> str:
        """The model's name or folder."""
        return self.folder.strip() if self.model == FOLDER else self.model

    def settings(self) -> Settings:
        """Return what is asked for.

        Raises:
            InputError: naming the field that cannot be.
        """
        if not self.chosen:
            raise InputError("name the folder that has the model's files")
        if not self.name.strip():
            raise InputError("the deployment needs a name: what clients call the model")
        model = self.chosen
        if self.model == FOLDER:
            try:
                model = str(Path(model).expanduser().absolute())  # the server may be started again from elsewhere
            except RuntimeError:
                raise InputError(f"{model} is in the folder of a user whom this machine does not have") from None
        one = Settings(
            name=self.name.strip(),
            model=model,
            engine=self.engine,
            precision=self.precision,
            task=self.task.strip() or None,
            max_tokens=_whole(self.max_tokens, "the token limit"),
            threads=_whole(self.threads, "threads"),
        )
        return changed(one, self)


def changed(present: Settings, form: Form) -> Settings:
    """Return settings with what a form says about allocations and limits: those can change while it runs.

    Raises:
        InputError: naming the field that cannot be.
    """
    same = msgspec.structs.replace(
        present,
        low_priority=form.low_priority,
        requests=_needed(form.requests, "requests that may wait"),
        wait=_seconds(form.wait, "the longest wait"),
    )
    if not form.adaptive:
        count = _needed(form.allocations, "allocations")
        return settings.check(msgspec.structs.replace(same, least=None, most=None, allocations=count))
    least, most = _needed(form.least, "the least allocations"), _needed(form.most, "the most allocations")
    idle = _seconds(form.idle, "the idle time")
    return settings.check(msgspec.structs.replace(same, least=least, most=most, idle=idle, allocations=max(1, least)))


def form_of(present: Settings) -> Form:
    """Return the form that would make these settings."""
    least, most = present.range
    return Form(
        model=present.model,
        name=present.name,
        low_priority=present.low_priority,
        allocations=present.allocations,
        adaptive=present.adaptive,
        least=least if present.adaptive else 0,
        most=most if present.adaptive else max(2, present.allocations),
        idle=present.idle,
        requests=present.requests,
        wait=present.wait,
    )


def _needed(value: float | None, name: str) -> int:
    whole = _whole(value, name)
    if whole is None:
        raise InputError(f"{name}: a whole number is missing")
    return whole


def _whole(value: float | None, name: str) -> int | None:
    if value is None:
        return None
    if not float(value).is_integer():
        raise InputError(f"{name}: {value} is no whole number")
    return int(value)


def _seconds(value: float | None, name: str) -> float:
    if value is None:
        raise InputError(f"{name}: a number of seconds is missing")
    if not math.isfinite(value):
        raise InputError(f"{name}: {value} is no number of seconds")
    return float(value)


def free_name(model: str, deployments: Deployments) -> str:
    """Return a name for a deployment of a model that none has yet."""
    taken = {each.name for each in deployments}
    name = unicodedata.normalize("NFKD", Path(model).name).encode("ascii", "ignore").decode()
    letters = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")  # a model's name may have any others
    plain = "e5" if model == BUNDLED else (letters or "e5")
    return next(name for n in range(1, len(taken) + 2) if (name := plain if n == 1 else f"{plain}-{n}") not in taken)
