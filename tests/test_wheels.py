"""What is built from this checkout: a wheel with the native engine, and one without where there is no compiler."""

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        any(find_spec(tool) is None for tool in ("hatchling", "nanobind")), reason="hatchling and nanobind build it"
    ),
]

BUILD = "from hatchling import build; import sys; print(build.build_wheel(sys.argv[1]))"


def wheel(folder, **environment):
    """Build a wheel of this checkout into `folder` with what is installed; return its path and its files."""
    folder.mkdir()
    command = [sys.executable, "-c", BUILD, str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return path, archive.namelist()


@pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="built for x86-64 Linux only")
@pytest.mark.skipif(not shutil.which("c++") or not shutil.which("cmake"), reason="there is no compiler, or no CMake")
def test_a_wheel_holds_the_engine_and_embeds_with_it(tmp_path):
    path, files = wheel(tmp_path / "native", EFIVE_NATIVE="require")
    assert path.name.endswith("linux_x86_64.whl")
    built = [name for name in files if name.startswith("efive/engines/_native.") and name.endswith(".so")]
    assert len(built) == 1
    assert not any(name.startswith(("src/", "tests/")) or name.endswith(".cpp") for name in files)
    check(path, tmp_path / "installed", "native")


@pytest.mark.parametrize("how", [{"EFIVE_NATIVE": "off"}, {"PATH": "/nonexistent", "CXX": ""}], ids=["off", "bare"])
def test_without_a_compiler_the_wheel_is_pure_and_works(tmp_path, how):
    path, files = wheel(tmp_path / "pure", **how)
    assert path.name.endswith("-py3-none-any.whl")
    assert not [name for name in files if "/_native." in name and name.endswith(".so")]
    check(path, tmp_path / "installed", "pure")


def check(path, target, kind):
    """Unpack the wheel as an installer would, and embed with it: this checkout must not be on the way."""
    with zipfile.ZipFile(path) as archive:
        archive.extractall(target)
    home = target.parent / "home"
    environment = {**os.environ, "PYTHONPATH": str(target), "HOME": str(home)}
    command = [sys.executable, str(ROOT / "scripts" / "check_wheel.py"), kind]
    done = subprocess.run(command, cwd=target.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{kind}: " in done.stdout
