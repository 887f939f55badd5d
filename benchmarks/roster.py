"""Who takes part: efive's engines and the peers, each with its environment and how to install it."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".peers"
BASELINES = {"cpu": "st", "cuda": "cuda-st"}
"""sentence-transformers with its defaults: what ratios start from and what cosines are taken against."""


@dataclass(frozen=True)
class Contestant:
    """One row of the table."""

    name: str
    title: str
    kind: str
    environment: str
    """A folder below `.peers/`, or "" for the interpreter that runs the benchmark."""
    options: dict[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    """Conversions of the weights that must exist, in order; see `peers/export.py`."""

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return PEERS / self.environment / "bin" / "python" if self.environment else Path(sys.executable)

    @property
    def device(self) -> str:
        """Where it computes: `cpu` or `cuda`."""
        return self.options.get("device", "cpu")

    @property
    def install_command(self) -> str:
        """What a user types where it is absent."""
        return f"benchmarks/peers/setup.sh {self.environment}" if self.environment else "pip install efive[torch]"

    @property
    def ours(self) -> bool:
        """Whether this is efive."""
        return self.kind == "efive"


def _efive(name: str, title: str, **options: str) -> Contestant:
    return Contestant(name, title, "efive", "", options)


def _st(name: str, title: str, environment: str, needs: tuple[str, ...] = (), **options: str) -> Contestant:
    return Contestant(name, title, "sentence-transformers", environment, options, needs)


def _on_cuda() -> list[Contestant]:
    """Return those that compute on a GPU, all in the interpreter that runs the benchmark.

    sentence-transformers sorts by length itself; apart from its defaults, it takes the best of several batch sizes.
    """
    rows = [_st("cuda-st", "sentence-transformers", "", device="cuda", precision="fp32")]
    rows += [
        _efive(f"cuda-efive-{precision}", "efive", device="cuda", engine="torch", precision=precision)
        for precision in ("bf16", "fp16")
    ]
    rows += [
        _efive(f"cuda-efive-{p}-compiled", "efive, compiled", device="cuda", engine="torch-compiled", precision=p)
        for p in ("bf16", "fp8")
    ]
    for attention in ("sdpa", "flash_attention_2"):
        short, title = attention.partition("_")[0], f"sentence-transformers, {attention}"
        own = {"device": "cuda", "attention": attention, "batch": "best"}
        rows += [_st(f"cuda-st-{p}-{short}", title, "", precision=p, **own) for p in ("bf16", "fp16")]
    return rows


ROSTER = {
    contestant.name: contestant
    for contestant in (
        _st("st", "sentence-transformers", "current"),
        _efive("efive-fp32", "efive, OpenVINO", engine="openvino", precision="fp32"),
        _efive("efive-bf16", "efive, OpenVINO", engine="openvino", precision="bf16"),
        _efive("efive-int8", "efive, OpenVINO", engine="openvino", precision="int8"),
        _efive("efive-native-bf16", "efive, native", engine="native", precision="bf16"),
        _efive("efive-native-int8", "efive, native", engine="native", precision="int8"),
        _efive("efive-torch", "efive, PyTorch", engine="torch", precision="auto"),
        _st("st-bf16", "sentence-transformers", "current", precision="bf16"),
        _st("st-openvino", "sentence-transformers, OpenVINO", "legacy", ("openvino",), backend="openvino"),
        _st(
            "st-openvino-int8",
            "sentence-transformers, OpenVINO",
            "legacy",
            ("openvino",),
            backend="openvino",
            precision="int8",
        ),
        _st("st-onnx", "sentence-transformers, ONNX", "legacy", ("onnx",), backend="onnx"),
        _st(
            "st-onnx-int8",
            "sentence-transformers, ONNX",
            "legacy",
            ("onnx", "onnx-int8"),
            backend="onnx",
            precision="int8",
        ),
        Contestant("fastembed", "FastEmbed", "fastembed", "current", needs=("onnx",)),
        Contestant("infinity", "Infinity", "infinity", "infinity"),
        Contestant("infinity-onnx", "Infinity, ONNX", "infinity", "infinity", {"engine": "optimum"}, ("onnx",)),
        Contestant("ctranslate2", "CTranslate2", "ctranslate2", "legacy", needs=("ctranslate2",)),
        Contestant(
            "ctranslate2-int8",
            "CTranslate2",
            "ctranslate2",
            "legacy",
            {"compute_type": "int8"},
            ("ctranslate2",),
        ),
        *_on_cuda(),
    )
}
EXPORTER = PEERS / "legacy" / "bin" / "python"
"""The environment that converts weights for the peers."""
ARTIFACTS = {
    "onnx": "onnx/model.onnx",
    "onnx-int8": "onnx/model_qint8.onnx",
    "openvino": "openvino/openvino_model.xml",
    "ctranslate2": "ctranslate2/model.bin",
}
