"""OpenVINO, imported without its telemetry.

The package reports its own import to an analytics service unless `openvino_telemetry` is missing; then it
takes a stub. So it is missing while the import runs. efive never uses the converter, the rest that reports.
"""

import sys

_NAME = "openvino_telemetry"
_hidden = _NAME not in sys.modules
if _hidden:
    sys.modules[_NAME] = None  # type: ignore[assignment]  # what the import system takes for "not installed"
try:
    import openvino as ov
    import openvino.properties as props
    from openvino import opset13 as ops
    from openvino.properties import hint
finally:
    if _hidden:
        del sys.modules[_NAME]

__all__ = ["hint", "ops", "ov", "props"]
