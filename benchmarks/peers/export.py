"""Convert a model folder for the peers that need it, with the peers' own tools, in place.

    .peers/legacy/bin/python benchmarks/peers/export.py FOLDER onnx|onnx-int8|openvino|ctranslate2

Writes `onnx/model.onnx`, `onnx/model_qint8.onnx`, `openvino/openvino_model.xml` or `ctranslate2/` below the
folder, as the published repositories lay them out; the folder's other files are left as they are.
"""

import shutil
import sys
import tempfile
from pathlib import Path


def onnx(folder: Path, scratch: Path) -> None:
    from sentence_transformers import SentenceTransformer

    options = {"export": True, "provider": "CPUExecutionProvider"}
    SentenceTransformer(str(folder), backend="onnx", model_kwargs=options).save_pretrained(str(scratch))
    shutil.move(scratch / "onnx", folder / "onnx")


def onnx_int8(folder: Path, scratch: Path) -> None:
    from sentence_transformers import SentenceTransformer, export_dynamic_quantized_onnx_model

    options = {"file_name": "onnx/model.onnx", "provider": "CPUExecutionProvider"}
    model = SentenceTransformer(str(folder), backend="onnx", model_kwargs=options)
    export_dynamic_quantized_onnx_model(model, "avx512_vnni", str(scratch))
    for file in (scratch / "onnx").glob("model_qint8_avx512_vnni.onnx*"):
        shutil.move(file, folder / "onnx" / file.name.replace("_avx512_vnni", ""))


def openvino(folder: Path, scratch: Path) -> None:
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(str(folder), backend="openvino", model_kwargs={"export": True}).save_pretrained(str(scratch))
    shutil.move(scratch / "openvino", folder / "openvino")


def ctranslate2(folder: Path, scratch: Path) -> None:
    from ctranslate2.converters import TransformersConverter

    TransformersConverter(str(folder)).convert(str(scratch / "converted"))
    shutil.move(scratch / "converted", folder / "ctranslate2")


def main() -> None:
    folder, kind = Path(sys.argv[1]), sys.argv[2]
    with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
        {"onnx": onnx, "onnx-int8": onnx_int8, "openvino": openvino, "ctranslate2": ctranslate2}[kind](
            folder, Path(scratch)
        )


if __name__ == "__main__":
    main()
