"""The house's arrows (docs/architecture.md): who may import whom, and what `import efive` must not load."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "efive"

# A room may import itself, the ground floor, and what stands here.
GROUND = {"errors", "inputs", "space", "remember", "probe", "jsonlines"}
MAY = {
    "vectors": set(),
    "text": set(),
    "models": set(),
    "engines": {"models"},
    "preparation": {"text"},
    "pipeline": {"preparation", "text", "engines", "vectors"},
    "gate": {"engines", "text", "vectors"},
    "embeddings": {"preparation", "vectors"},
    "encoder": {"embeddings", "engines", "models", "text", "vectors", "preparation", "pipeline", "gate"},
    "nearest": {"encoder"},
    "training": {"encoder", "engines", "models", "nearest", "text"},
    "search": {"encoder", "text", "vectors"},
    "evaluation": {"encoder", "engines", "models", "nearest", "search", "vectors"},
    "deployments": {"encoder", "engines", "models", "text"},
    "server": {"deployments", "embeddings", "encoder", "engines", "models", "preparation", "search", "text", "vectors"},
    "console": {
        "deployments",
        "encoder",
        "engines",
        "evaluation",
        "models",
        "search",
        "server",
        "text",
        "training",
        "vectors",
    },
    "cli": {
        "console",
        "embeddings",
        "encoder",
        "engines",
        "models",
        "vectors",
        "training",
        "search",
        "evaluation",
        "deployments",
        "server",
    },
    "__main__": {"cli"},
    **{ground: set() for ground in GROUND},
}
# The ground floor imports nothing of efive but the errors.
GROUND_MAY = {
    "errors": set(),
    "inputs": {"errors"},
    "space": set(),
    "remember": set(),
    "probe": set(),
    "jsonlines": {"errors"},
}
# All that is seen in a browser; what is shown is found elsewhere in the room, without a browser.
NICEGUI = {
    *(f"console/{name}.py" for name in ("dialogs", "frame", "mount", "parts", "tables")),
    *(
        path.relative_to(SOURCE).as_posix()
        for path in (SOURCE / "console" / "pages").rglob("*.py")
        if path.stem[0] != "_"
    ),
}
# Heavy packages, and the only rooms or files that may name them.
HEAVY = {
    "torch": {
        "models/attention.py",
        "models/network.py",
        "models/tensors.py",
        "models/torchscript_graph.py",
        "models/torchscript_worker.py",
        *(f"engines/torch_{n}.py" for n in ("compiled", "engine", "float8", "fuse", "graphs", "replica", "transfer")),
        "engines/select.py",
        *(f"training/{name}.py" for name in ("gradients", "lora", "losses", "optimizer", "processes")),
        "training/runs.py",
        "training/sharding.py",
        "training/trainer.py",
        "training/mining/cross_encoder.py",
    },
    "openvino": {"engines/openvino_import.py"},
    "huggingface_hub": {"models/hub.py"},
    "pyarrow": {
        "cli/records.py",
        "cli/outputs.py",
        "training/data/sets.py",
        "search/exporting.py",
        "search/lance/columns.py",
        "search/lance/snapshot.py",
        "search/readers/parquet.py",
    },
    "lancedb": {"search/lance/table.py", "search/lance/snapshot.py", "search/lance/upkeep.py"},
    "rich": {"cli/hits.py", "evaluation/table.py", "evaluation/differences.py"},
    "matplotlib": {"evaluation/charts.py"},
    "sklearn": {"evaluation/drift.py", "evaluation/probes.py"},
    "langchain_core": {"search/langchain.py"},
    "llama_index": {"search/llama_index.py"},
    "mcp": {"search/mcp.py"},
    "uvicorn": {"server/run.py"},
    "prometheus_client": {"server/telemetry.py"},
    "nicegui": NICEGUI,
}


def imports(path: Path) -> set[str]:
    """Every module that a file imports, wherever in the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "efive" and len(parts) > 1 else None


FILES = sorted(p for p in SOURCE.rglob("*.py") if p.relative_to(SOURCE).as_posix() != "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(SOURCE).as_posix())
def test_imports_follow_the_arrows(path):
    own = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    assert own in MAY, f"a new room: give {own} its place in this test and in docs/architecture.md"
    allowed = GROUND_MAY[own] | {own} if own in GROUND else MAY[own] | GROUND | {own}
    used = {room(module) for module in imports(path)} - {None, "__version__"}
    assert used <= allowed, f"{own} must not import {used - allowed}"


@pytest.mark.parametrize("package", HEAVY)
def test_heavy_packages_stay_in_their_files(package):
    users = {p.relative_to(SOURCE).as_posix() for p in FILES if package in {m.split(".")[0] for m in imports(p)}}
    assert users == HEAVY[package]


def test_environment_is_read_at_the_edge_only():
    readers = {
        "home" if p.name == "store.py" else p.relative_to(SOURCE).parts[0]
        for p in FILES
        if any(
            isinstance(n, ast.Attribute) and n.attr in {"environ", "getenv"} for n in ast.walk(ast.parse(p.read_text()))
        )
    }
    assert readers <= {"cli", "server", "home"}


def loaded_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*{{m.split('.')[0] for m in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_import_efive_is_light():
    assert loaded_after("import efive") & {"torch", "openvino", "numpy", "tokenizers", "pyarrow", "click"} == set()


def test_the_encoder_needs_no_torch():
    """Its import and use must not touch torch even where torch is installed."""
    assert "torch" not in loaded_after("from efive import Encoder")


@pytest.mark.parametrize("engine", ["auto", "openvino"])
def test_an_encoder_runs_without_torch(bert, engine):
    block = "sys.modules['torch'] = None\nfrom efive import Encoder\n"
    load = f"encoder = Encoder.load({str(bert)!r}, engine={engine!r})\n"
    use = "assert encoder.embed_queries(['a cat']).vectors.shape == (1, 64)"
    assert "openvino" in loaded_after(block + load + use) or engine == "auto"


def test_openvino_reports_nothing(bert, tmp_path):
    """Its telemetry writes below an existing home before it sends; nothing may appear there."""
    (tmp_path / "person").mkdir()
    code = "import sys\nfrom efive import Encoder\n"
    code += f"Encoder.load({str(bert)!r}, engine='openvino').embed_queries(['a'])\n"
    code += "assert 'openvino_telemetry' not in sys.modules"
    env = {"HOME": str(tmp_path / "person"), "PATH": "/usr/bin"}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)
    assert {p.name for p in (tmp_path / "person").iterdir()} == {".efive"}
