"""Packed weights on disk: the same vectors from them, and nothing that is damaged, old or another's is used."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tiny

from efive import Encoder
from efive.engines import native_packed
from efive.engines.base import Precision, TokenBatch
from efive.engines.native_engine import NativeEngine
from efive.engines.native_import import extension, instruction_sets, obstacle
from efive.models import checkpoint as checkpoints

if missing := obstacle():
    pytest.skip(missing, allow_module_level=True)

BUILDS = [(p, isa) for p in (Precision.FP32, Precision.BF16, Precision.INT8) for isa in instruction_sets(p)]
GIVEN = TokenBatch(np.arange(3, 83, dtype=np.int32).reshape(2, 40), np.array([40, 17], dtype=np.int32))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return checkpoints.read(tiny.make("xlm-roberta", tmp_path_factory.mktemp("packed") / "xlm", hidden=128))


def embed(checkpoint, cache, precision=Precision.FP32, isa=None):
    engine = NativeEngine(checkpoint, precision, 1, isa=isa, cache=cache)
    vectors = engine.embed(GIVEN)
    engine.close()
    return vectors


def files(cache):
    return sorted((cache / "packed").iterdir())


def test_vectors_from_kept_weights_are_the_same_and_each_build_has_its_file(checkpoint, tmp_path):
    for precision, isa in BUILDS:
        plain = embed(checkpoint, None, precision, isa)
        for _ in range(2):
            np.testing.assert_array_equal(embed(checkpoint, tmp_path, precision, isa), plain)
    assert len(files(tmp_path)) == len(BUILDS)


def test_the_file_is_what_is_read(checkpoint, tmp_path):
    first = embed(checkpoint, tmp_path)
    (file,) = files(tmp_path)
    header = json.loads(file.read_bytes()[: native_packed._HEADER])
    # Other weights under the same key: if the engine packed again, they would have no effect.
    native_packed.PackedFile(file, header["key"]).write(np.zeros(header["bytes"], dtype=np.uint8))
    assert not np.array_equal(embed(checkpoint, tmp_path), first)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:100],
        lambda content: content[:-4],
        lambda content: content + b"\0\0\0\0",
        lambda content: content[:-3] + bytes([content[-3] ^ 1]) + content[-2:],
        lambda content: content[:20000] + content[20064:20128] + content[20000:20064] + content[20128:],
        lambda content: content.replace(b'"key": "', b'"key": "0'),
        lambda content: os.urandom(len(content)),
    ],
    ids=["empty", "a piece", "cut", "longer", "one bit", "two lines swapped", "of another build", "noise"],
)
def test_a_damaged_file_is_replaced(checkpoint, tmp_path, damage):
    expected = embed(checkpoint, tmp_path)
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    spoiled = damage(whole)
    assert spoiled != whole
    file.write_bytes(spoiled)
    np.testing.assert_array_equal(embed(checkpoint, tmp_path), expected)
    assert files(tmp_path) == [file]
    assert file.read_bytes() == whole


def test_other_weights_in_the_same_folder_have_another_file(tmp_path):
    folder = tiny.make("bert", tmp_path / "model", hidden=64, seed=1)
    first = embed(checkpoints.read(folder), tmp_path / "cache")
    tiny.make("bert", folder, hidden=64, seed=2)
    second = checkpoints.read(folder)
    np.testing.assert_array_equal(embed(second, tmp_path / "cache"), embed(second, None))
    assert not np.array_equal(first, embed(second, tmp_path / "cache"))
    assert len(files(tmp_path / "cache")) == 2


def test_where_nothing_can_be_kept_it_packs(checkpoint, tmp_path):
    expected = embed(checkpoint, None)
    (tmp_path / "file").write_text("in the way")
    np.testing.assert_array_equal(embed(checkpoint, tmp_path / "file"), expected)
    (tmp_path / "cache" / "packed").mkdir(parents=True)
    blocked = native_packed.PackedFile(tmp_path / "cache" / "packed", "key")  # a folder is where the file should be
    blocked.write(np.zeros(64, dtype=np.uint8))
    assert blocked.read() is None
    assert list((tmp_path / "cache").iterdir()) == [tmp_path / "cache" / "packed"]


def test_the_least_recently_used_go(tmp_path):
    weights = np.arange(256, dtype=np.uint8)
    made = [native_packed.PackedFile(tmp_path / f"{i}.bin", "key") for i in range(native_packed._KEPT + 1)]
    for age, file in enumerate(made[:-1]):
        file.write(weights)
        os.utime(file.path, (1000 + age, 1000 + age))
    np.testing.assert_array_equal(made[0].read(), weights)  # the oldest, used again
    made[-1].write(weights)
    assert made[0].path.exists()
    assert not made[1].path.exists()
    assert len(list(tmp_path.iterdir())) == native_packed._KEPT


def test_checksums_show_any_change():
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, 1000, dtype=np.uint8)
    whole = extension.checksum(data)
    assert extension.checksum(data.copy()) == whole
    for place in range(1000):
        assert extension.checksum(data[:place].copy()) != whole
        for bit in range(8):
            changed = data.copy()
            changed[place] ^= 1 << bit
            assert extension.checksum(changed) != whole


OTHER = """
import sys
from efive import Encoder
with Encoder.load(sys.argv[1], engine="native", precision="fp32", threads=1) as encoder:
    sys.stdout.buffer.write(encoder.embed_queries(["one text"]).vectors.tobytes())
    held = [line for line in open("/proc/self/maps") if "/packed/" in line]
    assert held and all(line.split()[1].startswith("r--") for line in held), held
"""


def test_processes_share_the_file_through_the_encoder(checkpoint, home):
    with Encoder.load(checkpoint.folder, engine="native", precision="fp32", threads=1) as encoder:
        expected = encoder.embed_queries(["one text"]).vectors.tobytes()
    (file,) = files(home / ".efive" / "cache")
    written = file.stat().st_ino
    environment = {**os.environ, "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-c", OTHER, str(checkpoint.folder)]
    assert subprocess.run(command, check=True, capture_output=True, env=environment).stdout == expected
    assert file.stat().st_ino == written
