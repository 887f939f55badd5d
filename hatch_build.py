"""Builds the native engine's extension with the wheel; without a compiler the package is pure Python.

The environment variable EFIVE_NATIVE says otherwise: `require` makes a failure an error, `off` builds nothing.
"""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_COMPILERS = ("c++", "g++", "clang++")


class NativeBuildHook(BuildHookInterface):  # type: ignore[type-arg,misc]
    """Adds efive/engines/_native to wheels, and puts it into the source tree for editable installs."""

    def dependencies(self) -> list[str]:
        """Ask for CMake and Ninja only where they are missing and would be of use."""
        if _obstacle():
            return []
        return [tool for tool in ("cmake", "ninja") if shutil.which(tool) is None]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, or say why not and go on without."""
        if self.target_name != "wheel" or os.environ.get("EFIVE_NATIVE") == "off":
            return
        root = Path(self.root)
        engines = root / "src" / "efive" / "engines"
        name = "_native" + sysconfig.get_config_var("EXT_SUFFIX")
        if version == "editable":
            (engines / name).unlink(missing_ok=True)  # else a failed build would leave the last one in its place
        try:
            if obstacle := _obstacle():
                raise OSError(obstacle)
            folder = Path(tempfile.mkdtemp(prefix="efive-native-"))
            built = _build(root, folder) / name
        except (OSError, subprocess.CalledProcessError) as error:
            if os.environ.get("EFIVE_NATIVE") == "require":
                raise
            self.app.display_warning(f"efive is built without its native engine: {error}")
            return
        if version == "editable":
            shutil.copy2(built, engines / name)
        else:
            build_data["force_include"][str(built)] = f"efive/engines/{name}"
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
        self._folder = folder

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the build folder."""
        if folder := getattr(self, "_folder", None):
            shutil.rmtree(folder, ignore_errors=True)


def _obstacle() -> str | None:
    if platform.machine() != "x86_64" or sys.platform != "linux":
        return f"it has no kernels for {platform.machine()} on {sys.platform} yet"
    if not os.environ.get("CXX") and not any(map(shutil.which, _COMPILERS)):
        return "there is no C++ compiler"
    return None


def _build(root: Path, folder: Path) -> Path:
    """Run CMake and return the folder of the extension."""
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    python = f"-DPython_EXECUTABLE={sys.executable}"
    for command in (["-S", str(root), "-B", str(folder), *generator, python], ["--build", str(folder)]):
        subprocess.run(["cmake", *command], check=True)  # noqa: S603, S607
    return folder
