"""What brings the server to a machine: read by the tools that will read it there."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from efive.cli import cli
from efive.deployments.state import State
from efive.server.access import Access, Scope
from efive.server.app import Options, build

PACKAGING = Path(__file__).parents[2] / "packaging"
CHART = PACKAGING / "helm" / "efive"
UNIT = PACKAGING / "systemd" / "efive.service"
KUBERNETES = "1.29"


def tool(name: str) -> str:
    found = shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    return found or pytest.skip(f"{name} is not installed")


# --- container ---------------------------------------------------------------------------------------------------


def test_the_containerfile_is_clean():
    run = subprocess.run([tool("hadolint"), PACKAGING / "Containerfile"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def steps() -> list[tuple[str, str]]:
    text = (PACKAGING / "Containerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines if line]


def test_the_container_runs_as_nobody_and_checks_what_the_server_answers():
    found = steps()
    last = max(place for place, (word, _) in enumerate(found) if word == "FROM")
    running = dict(found[last:])
    assert int(running["USER"]) >= 10_000
    assert running["VOLUME"] == "/var/lib/efive"
    assert "EFIVE_HOME=/var/lib/efive" in running["ENV"]
    assert "pip install" not in " ".join(value for _, value in found[last:])
    checked = re.search(r"http://127\.0\.0\.1:8080(/[a-z/]+)", running["HEALTHCHECK"])[1]
    assert checked in {route.path for route in build(Options(Path("unused"))).routes}
    parse(json.loads(running["ENTRYPOINT"])[1:] + json.loads(running["CMD"]))


def parse(arguments: list[str]) -> None:
    """Let click read a command line; it raises what it does not know."""
    name, command, rest = cli.resolve_command(cli.make_context("efive", list(arguments)), list(arguments))
    context = command.make_context(name, rest)
    if hasattr(command, "resolve_command"):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        command.make_context(name, rest, parent=context)


def test_what_goes_into_the_container_is_there():
    kept = (PACKAGING / "Containerfile.dockerignore").read_text(encoding="utf-8")
    for name in re.findall(r"^!(.+)$", kept, re.MULTILINE):
        assert (PACKAGING.parent / name).exists(), name


# --- Kubernetes --------------------------------------------------------------------------------------------------

KEYS = {"keys": {"existingSecret": "efive-keys", "scopes": ["manage", "embed"]}}
EVERYTHING = {
    **KEYS,
    "tls": {"existingSecret": "efive-tls"},
    "options": ["--model", "multilingual-e5-small", "--allocations", "2"],
    "env": [{"name": "OMP_NUM_THREADS", "value": "2"}],
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "imagePullSecrets": [{"name": "registry"}],
    "podAnnotations": {"a": "b"},
    "podLabels": {"team": "search"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
    "persistence": {"storageClass": "fast", "size": "1Gi"},
    "image": {"repository": "registry.example/efive", "tag": "1"},
}
VALUES = {"with keys": KEYS, "open": {"withoutKeys": True}, "everything": EVERYTHING}


class HelmError(Exception):
    """What helm says."""


_HELM = """
import json, sys
import helm_python as helm
chart, values = sys.argv[1], json.loads(sys.argv[2])
try:
    messages = helm.lint(chart, values, strict=True)["messages"]
    files = helm.Chart.load(chart).render(values, name="search", namespace="tools")
    print(json.dumps({"messages": [str(each) for each in messages], "files": dict(files.items())}))
except helm.HelmError as error:
    sys.exit(str(error))
"""


def helm(values: dict) -> dict:
    """What helm makes of the chart, in a process of its own: its Go runtime takes other libraries' processes down."""
    if find_spec("helm_python") is None:
        pytest.skip("helm-python-sdk is not installed")
    command = [sys.executable, "-c", _HELM, str(CHART), json.dumps(values)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    if done.returncode:
        raise HelmError(done.stderr)
    return json.loads(done.stdout)


def rendered(values: dict) -> dict[str, dict]:
    """The chart's objects by kind."""
    files = helm(values)["files"].items()
    loaded = [yaml.safe_load(text) for name, text in files if name.endswith(".yaml") and text.strip()]
    return {each["kind"]: each for each in loaded}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_the_chart_is_clean_and_kubernetes_takes_what_it_makes(values):
    assert not [each for each in helm(values)["messages"] if "icon is recommended" not in each]
    validate = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is not installed").validate
    objects = rendered(values)
    assert set(objects) >= {"StatefulSet", "Service"}
    for kind, each in objects.items():
        if kind != "ServiceMonitor":  # the operator's own
            validate(each, KUBERNETES, strict=True)


def test_the_pod_is_confined_and_asked_what_the_server_answers():
    objects = rendered(EVERYTHING)
    spec = objects["StatefulSet"]["spec"]["template"]["spec"]
    served = {route.path for route in build(Options(Path("unused"))).routes}
    (container,) = spec["containers"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["path"] in served
        assert container[probe]["httpGet"]["scheme"] == "HTTPS"
    assert spec["securityContext"]["runAsNonRoot"]
    for each in [container, *spec["initContainers"]]:
        assert each["securityContext"]["readOnlyRootFilesystem"]
        assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        parse(each["args"])
    assert objects["ServiceMonitor"]["spec"]["endpoints"][0]["path"] in served
    assert "--without-keys" not in container["args"]


def test_the_chart_does_not_let_everybody_in_by_accident():
    with pytest.raises(HelmError, match="withoutKeys"):
        rendered({})
    with pytest.raises(HelmError, match="scopes"):
        rendered({"keys": {"existingSecret": "a", "scopes": ["everything"]}})


def test_keys_of_a_secret_replace_those_of_before(tmp_path, monkeypatch):
    monkeypatch.setenv("EFIVE_HOME", str(tmp_path))
    for secret in ("the-first-secret", "the-first-secret", "the-second-secret"):
        (tmp_path / "manage").write_text(f"{secret}\n")
        command = ["keys", "create", "manage", "--scope", "manage", "--key-file", str(tmp_path / "manage")]
        run = CliRunner().invoke(cli, command, catch_exceptions=False)
        assert run.exit_code == 0, run.output
        assert secret not in run.output
    access = Access(State(tmp_path / "server.sqlite"))
    assert len(access.all()) == 1
    assert access.admit({"authorization": "Bearer the-second-secret"}, Scope.MANAGE).key == access.all()[0].id


# --- systemd -----------------------------------------------------------------------------------------------------


def systemd(*arguments: str, unit: Path) -> "subprocess.CompletedProcess[str]":
    command = [tool("systemd-analyze"), *arguments, str(unit)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_unit_is_valid(tmp_path):
    unit = tmp_path / "efive.service"  # with a program that is here
    unit.write_text(UNIT.read_text(encoding="utf-8").replace("/opt/efive/bin/efive", sys.executable))
    run = systemd("verify", "--man=no", "--recursive-errors=no", unit=unit)
    complaints = [line for line in run.stderr.splitlines() if "efive.service" in line]
    assert run.returncode == 0, run.stderr
    assert not complaints


def test_the_unit_is_confined():
    run = systemd("security", "--offline=true", "--threshold=20", unit=UNIT)
    assert run.returncode == 0, run.stdout[-300:]


def test_the_unit_starts_a_command_that_there_is():
    (line,) = re.findall(r"^ExecStart=\S+/efive (.*)$", UNIT.read_text(encoding="utf-8"), re.MULTILINE)
    parse(line.replace("$EFIVE_OPTIONS", "--port 80").split())


# --- Grafana -----------------------------------------------------------------------------------------------------


def test_every_query_of_the_dashboard_names_metrics_that_there_are(http):
    http.post("/openai/v1/embeddings", json={"model": "e5", "input": "a"})
    http.post("/openai/v1/embeddings", json={"model": "e5", "input": [[10**6]]})  # an error, as they exist when met
    exposed: dict[str, set[str]] = {}
    for name, labels in re.findall(r"^(efive_\w+)(?:\{(.*)\})? \S+$", http.get("/metrics").text, re.MULTILINE):
        exposed.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    board = json.loads((PACKAGING / "grafana" / "efive.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len(queries) > 10
    for query in queries:
        for name, labels in re.findall(r"\b(efive_\w+)(?:\{([^}]*)\})?", query):
            assert name in exposed, query
            assert set(re.findall(r"(\w+)=", labels)) <= exposed[name], query
    shown = {name for query in queries for name in re.findall(r"\befive_\w+", query)}
    families = {re.sub(r"_(created|bucket|count|sum|total)$", "", name) for name in exposed}
    assert families == {re.sub(r"_(bucket|total)$", "", name) for name in shown}, "a metric that nobody sees"
