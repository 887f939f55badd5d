"""Embed with what is installed: run by the release for each wheel, in a clean environment.

    python scripts/check_wheel.py native | pure

`native` also demands that the native engine is there and runs, and that `auto` takes it where it should; `pure` that
it is not there, and that efive does without.
"""

import sys

import numpy as np

from efive import Encoder
from efive.engines.hardware import detect
from efive.engines.native_import import extension, obstacle

TEXTS = ["a wheel rolls", "ein Rad rollt", "une roue roule"]


def vectors(engine: str) -> np.ndarray:
    """Embed with the bundled model."""
    with Encoder.load(engine=engine, precision="fp32") as encoder:
        sys.stdout.write(f"{engine}: {encoder.reason}\n")
        return encoder.embed_passages(TEXTS).vectors


def main() -> None:
    """Compare the engines of this wheel."""
    expected = sys.argv[1]
    assert expected in {"native", "pure"}, __doc__
    assert (extension is not None) == (expected == "native"), obstacle()
    found = [vectors(engine) for engine in ("openvino", "auto")]
    if not obstacle():
        found.append(vectors("native"))
    elif expected == "native":
        sys.stdout.write(f"not run here: {obstacle()}\n")
    for each in found[1:]:
        assert np.abs(each - found[0]).max() < 1e-5
    with Encoder.load(precision="fp32") as encoder:
        wanted = "native" if expected == "native" and "avx512-vnni" in detect().instruction_sets else "openvino"
        assert encoder.engine_info.name in {wanted, "torch"}
    sys.stdout.write(f"{expected}: {len(found)} engines agree\n")


if __name__ == "__main__":
    main()
