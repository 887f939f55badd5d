"""Who takes part: efive's engines and the peers, each with its environment and how to install it."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".peers"
BASELINE = "st"
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
