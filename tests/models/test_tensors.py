"""Reading tensors: what the safetensors library and torch write, and every kind of damage to it."""

import json
import os
import pickle

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import small
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from efive.errors import ModelFileError
from efive.models.tensors import Tensor, fingerprint, open_pickled, open_safetensors

RANDOM = np.random.default_rng(7)
VALUES = {
    "F64": RANDOM.standard_normal((3, 5)),
    "F32": RANDOM.standard_normal((3, 5)).astype(np.float32),
    "F16": RANDOM.standard_normal((3, 5)).astype(np.float16),
    "I8": RANDOM.integers(-128, 128, (3, 5), dtype=np.int8),
    "I32": RANDOM.integers(-1000, 1000, (3, 5), dtype=np.int32),
    "I64": RANDOM.integers(-1000, 1000, (3, 5), dtype=np.int64),
    "U8": RANDOM.integers(0, 256, (3, 5), dtype=np.uint8),
}


def written(path, tensors):
    safetensors.numpy.save_file(tensors, path)
    return open_safetensors(path)


def raw(header, data=b""):
    """The bytes of a file with this header, whatever it says."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize("dtype", VALUES)
def test_every_dtype_is_read_back_exactly(tmp_path, dtype):
    values = VALUES[dtype]
    tensor = written(tmp_path / "m.safetensors", {"odd": np.ones(3, np.int8), "x": values})["x"]
    assert (tensor.dtype, tensor.shape) == (dtype, (3, 5))
    np.testing.assert_array_equal(tensor.values, values, strict=True)
    assert tensor.floats().dtype == np.float32
    np.testing.assert_array_equal(tensor.floats(), values.astype(np.float32))


def test_bfloat16_is_read_back_exactly(tmp_path):
    values = torch.tensor([[1.0, -2.5, 3e38], [float("inf"), -0.0, 1e-40]]).to(torch.bfloat16)
    safetensors.torch.save_file({"x": values}, tmp_path / "m.safetensors")
    tensor = open_safetensors(tmp_path / "m.safetensors")["x"]
    assert tensor.dtype == "BF16"
    np.testing.assert_array_equal(tensor.floats(), values.float().numpy(), strict=True)
    assert np.signbit(tensor.floats()[1, 1])


def test_float32_is_a_view_of_the_file_and_not_to_be_written(tmp_path):
    tensor = written(tmp_path / "m.safetensors", {"x": VALUES["F32"]})["x"]
    assert np.shares_memory(tensor.floats(), tensor.values)
    with pytest.raises(ValueError, match="read-only"):
        tensor.floats()[0, 0] = 1


def test_rows_of_int8_with_scales(tmp_path):
    scales = np.array([0.5, 0.25, 2.0], dtype=np.float32)
    found = written(tmp_path / "m.safetensors", {"x": VALUES["I8"], "x.row_scale": scales})
    assert set(found) == {"x"}
    expected = VALUES["I8"].astype(np.float32) * scales[:, None]
    np.testing.assert_array_equal(found["x"].floats(), expected, strict=True)
    np.testing.assert_array_equal(found["x"].rows(np.array([[2, 0], [1, 1]])), expected[[[2, 0], [1, 1]]], strict=True)


@pytest.mark.parametrize("dtype", VALUES)
def test_rows(tmp_path, dtype):
    tensor = written(tmp_path / "m.safetensors", {"x": VALUES[dtype]})["x"]
    whole = VALUES[dtype].astype(np.float32)
    for indices in (np.array([2, 0, 2]), np.array([[1], [0]]), np.array([], np.int64), np.s_[1:], np.s_[5:]):
        np.testing.assert_array_equal(tensor.rows(indices), whole[indices], strict=True)
    with pytest.raises(IndexError):
        tensor.rows(np.array([3]))


@pytest.mark.parametrize(
    "tensors",
    [
        {"x.row_scale": np.ones(3, np.float32)},
        {"x": VALUES["I8"], "x.row_scale": np.ones(4, np.float32)},
        {"x": VALUES["F32"], "x.row_scale": np.ones(3, np.float32)},
        {"x": np.ones(3, np.int8), "x.row_scale": np.ones(3, np.float32)},
        {"x": np.ones((3, 2, 2), np.int8), "x.row_scale": np.ones(3, np.float32)},
        {"x": VALUES["I8"], "x.row_scale": np.ones((3, 1), np.float32)},
    ],
)
def test_scales_that_fit_nothing_are_refused(tmp_path, tensors):
    with pytest.raises(ModelFileError, match=r"x\.row_scale does not fit an int8 tensor x"):
        written(tmp_path / "m.safetensors", tensors)


def test_empty_tensors(tmp_path):
    tensors = {
        "none": np.zeros((0, 4), np.float32),
        "flat": np.zeros((3, 0), np.float16),
        "x": VALUES["F32"],
        "one": np.zeros((0,), np.int8),
    }
    found = written(tmp_path / "m.safetensors", tensors)
    assert {name: tensor.floats().shape for name, tensor in found.items()} == {n: v.shape for n, v in tensors.items()}
    assert len(fingerprint(found)) == 64
    assert written(tmp_path / "nothing.safetensors", {}) == {}


def test_missing_file_and_folder(tmp_path):
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("gone", "folder"):
        with pytest.raises(ModelFileError, match=rf"{name}\.safetensors is missing"):
            open_safetensors(tmp_path / f"{name}.safetensors")


SOUND = safetensors.numpy.save({"a": VALUES["F32"], "b": VALUES["I8"], "c": VALUES["F16"]}, {"format": "pt"})
HEADER_END = 8 + int.from_bytes(SOUND[:8], "little")


def test_torn_anywhere_is_refused(tmp_path):
    path = tmp_path / "m.safetensors"
    for length in range(len(SOUND)):
        path.write_bytes(SOUND[:length])
        with pytest.raises(ModelFileError, match=r"m\.safetensors (is torn|has a broken header)"):
            open_safetensors(path)


@settings(max_examples=60, deadline=None, database=None)
@given(surplus=st.binary(min_size=1, max_size=300))
def test_bytes_after_the_last_tensor_are_refused(tmp_path_factory, surplus):
    path = tmp_path_factory.mktemp("oversized") / "m.safetensors"
    path.write_bytes(SOUND + surplus)
    with pytest.raises(ModelFileError, match=rf"m\.safetensors is oversized: {len(surplus)} bytes"):
        open_safetensors(path)


def opens_or_refuses(path, content):
    """Open a damaged file: a ModelFileError that names it, or tensors that lie wholly inside its bytes."""
    path.write_bytes(content)
    try:
        found = open_safetensors(path)
    except ModelFileError as error:
        complaint, found = str(error), {}
    else:
        complaint = str(path)
    assert str(path) in complaint or "row_scale" in complaint
    assert sum(t.values.nbytes for t in found.values()) <= len(content)
    assert all(t.floats().shape == t.shape for t in found.values())


def test_flips_in_every_byte_of_the_header(tmp_path):
    path = tmp_path / "m.safetensors"
    for position in range(HEADER_END):
        for bit in (position % 8, (position + 3) % 8):
            damaged = bytearray(SOUND)
            damaged[position] ^= 1 << bit
            opens_or_refuses(path, bytes(damaged))


@settings(max_examples=200, deadline=None, database=None)
@given(
    st.dictionaries(
        st.sampled_from(["a", "b", "b.row_scale", "__metadata__"]),
        st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(["F32", "I8", "BF16", "F16", "I64"]),
                "shape": st.lists(st.integers(-2, 3), max_size=3),
                "data_offsets": st.lists(st.integers(-4, 24), min_size=1, max_size=3),
            }
        ),
        max_size=3,
    ),
    st.integers(0, 24),
)
def test_any_header_of_the_right_form(tmp_path_factory, header, size):
    opens_or_refuses(tmp_path_factory.mktemp("forms") / "m.safetensors", raw(header, bytes(size)))


@settings(max_examples=100, deadline=None, database=None)
@given(st.binary(max_size=60))
def test_any_bytes(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("bytes")
    opens_or_refuses(folder / "plain.safetensors", content)
    opens_or_refuses(folder / "framed.safetensors", raw(content, b"1234"))


def entry(shape, start, stop, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (raw(b"[]"), "broken header"),
        (raw(b"{"), "broken header"),
        (raw(b"\xff\xfe{}"), "broken header"),
        (raw(b"[" * 50_000), "broken header"),
        (raw({"x": 3}), "broken header"),
        (raw({"x": {}}), "broken header"),
        (raw({"x": entry([1], 0, 4, dtype="F8_E4M3")}, bytes(4)), "F8_E4M3"),
        (raw({"x": entry([1], 0, 4, dtype=["F32"])}, bytes(4)), "broken header"),
        (raw({"x": entry([2], 0, 4)}, bytes(4)), r"4 bytes for shape \(2,\) of F32"),
        (raw({"x": entry([1], -4, 0)}, bytes(4)), "broken header"),
        (raw({"x": entry([1], 4, 0)}, bytes(4)), "broken header"),
        (raw({"x": entry([-1, -1], 0, 4)}, bytes(4)), "broken header"),
        (raw({"x": entry([float("inf")], 0, 4)}, bytes(4)), "broken header"),
        (raw({"x": entry([0, 10**30], 0, 0)}), "broken header"),
        (raw({"x": entry([1], 0, 10**30)}, bytes(4)), "torn"),
        (raw({"x": entry([1], 0, 4), "y": entry([1], 0, 4)}, bytes(4)), "begins at byte 0"),
        (raw({"x": entry([2], 0, 8), "y": entry([2], 4, 12)}, bytes(12)), "begins at byte 4"),
        (raw({"x": entry([1], 0, 4), "y": entry([1], 8, 12)}, bytes(12)), "begins at byte 8"),
        (raw({"x": entry([1], 4, 8)}, bytes(8)), "begins at byte 4"),
        ((2**63).to_bytes(8, "little") + b"{}", "its header claims 9223372036854775808 bytes of 10"),
        (b"\xff" * 64, "claims"),
        (b"<html><body>Not found</body></html>", "no safetensors file"),
    ],
)  # fmt: skip
def test_broken_headers(tmp_path, content, says):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=says) as caught:
        open_safetensors(path)
    assert str(path) in str(caught.value)


def test_pickled_weights(tmp_path):
    state = {
        "f": torch.tensor([[1.5, -2.0]]),
        "h": torch.tensor([0.1]).half(),
        "b": torch.tensor([[0.1, 3e38]]).bfloat16(),
        "d": torch.tensor([0.1], dtype=torch.float64),
        "i": torch.arange(3),
        "p": torch.nn.Parameter(torch.tensor([4.0])),
        "t": torch.arange(6.0).reshape(2, 3).T,
        "not a tensor": 3,
    }
    torch.save(state, tmp_path / "pytorch_model.bin")
    found = open_pickled(tmp_path / "pytorch_model.bin")
    assert {name: tensor.dtype for name, tensor in found.items()} == {
        "f": "F32", "h": "F16", "b": "BF16", "d": "F64", "i": "I64", "p": "F32", "t": "F32",
    }  # fmt: skip
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor.floats(), state[name].detach().float().numpy(), strict=True)


def test_pickled_weights_of_old_torch(tmp_path):
    torch.save({"x": torch.tensor([1.5])}, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    assert open_pickled(tmp_path / "old.bin")["x"].floats().tolist() == [1.5]


class Malicious:
    """Unpickling it runs a command."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_pickled_weights_does_not_run(tmp_path, zipped):
    trace, path = tmp_path / "it-ran", tmp_path / "pytorch_model.bin"
    state = {"x": torch.ones(1), "y": Malicious(trace)}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ModelFileError, match=r"pytorch_model\.bin cannot be read safely"):
        open_pickled(path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(state["y"]))  # the trap is a real one
    assert trace.exists()


def test_code_in_a_bare_pickle_does_not_run(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    path.write_bytes(pickle.dumps({"y": Malicious(tmp_path / "it-ran")}))
    with pytest.raises(ModelFileError, match="cannot be read safely"):
        open_pickled(path)
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize("zipped", [True, False])
def test_torn_pickled_weights(tmp_path, zipped):
    path = tmp_path / "pytorch_model.bin"
    torch.save({"x": torch.ones(300)}, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    for length in (0, 1, 7, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(ModelFileError, match="cannot be read safely"):
            open_pickled(path)


@pytest.mark.parametrize("state", [[torch.ones(1)], torch.ones(2), "text", {"x": torch.ones(1, dtype=torch.bool)}])
def test_pickles_that_are_no_weights(tmp_path, state):
    torch.save(state, tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelFileError, match="cannot be read safely"):
        open_pickled(tmp_path / "pytorch_model.bin")


def formats(tmp_path, values):
    """The same values in every storage: {how: tensors}."""
    torched = {name: torch.from_numpy(value) for name, value in values.items()}
    found = {"float32": written(tmp_path / "f32.safetensors", values)}
    backwards = dict(sorted(values.items(), reverse=True))
    found["order"] = {**dict(reversed(written(tmp_path / "order.safetensors", backwards).items()))}
    found["float16"] = written(tmp_path / "f16.safetensors", {n: v.astype(np.float16) for n, v in values.items()})
    safetensors.torch.save_file({n: v.bfloat16() for n, v in torched.items()}, tmp_path / "bf16.safetensors")
    found["bfloat16"] = open_safetensors(tmp_path / "bf16.safetensors")
    torch.save(torched, tmp_path / "m.bin")
    found["pickle"] = open_pickled(tmp_path / "m.bin")
    half = dict(list(values.items())[::2])
    rest = {n: v for n, v in values.items() if n not in half}
    found["shards"] = written(tmp_path / "1.safetensors", half) | written(tmp_path / "2.safetensors", rest)
    eighths = {n: (v * 8).astype(np.int8) for n, v in values.items() if v.ndim == 2}
    scales = {f"{n}.row_scale": np.full(len(v), 0.125, np.float32) for n, v in eighths.items()}
    plain = {n: v for n, v in values.items() if n not in eighths}
    found["int8"] = written(tmp_path / "i8.safetensors", eighths | scales | plain)
    return found


def test_fingerprint_knows_values_and_not_their_storage(tmp_path):
    prints = {how: fingerprint(tensors) for how, tensors in formats(tmp_path, small.tensors()).items()}
    assert len(prints) == 7
    assert len(set(prints.values())) == 1, prints


@settings(max_examples=40, deadline=None, database=None)
@given(data=st.data())
def test_fingerprint_sees_every_value(data):
    values = small.tensors()
    tensors = {name: Tensor("F32", value) for name, value in values.items()}
    before = fingerprint(tensors)
    name = data.draw(st.sampled_from(sorted(values)))
    position = data.draw(st.integers(0, values[name].size - 1))
    values[name].flat[position] = np.nextafter(values[name].flat[position], np.float32(9))
    assert fingerprint(tensors) != before


def test_fingerprint_sees_names_and_shapes():
    values = np.arange(6, dtype=np.float32)
    variants = [
        {"x": Tensor("F32", values.reshape(2, 3))},
        {"x": Tensor("F32", values.reshape(3, 2))},
        {"y": Tensor("F32", values.reshape(2, 3))},
        {"x": Tensor("F32", values)},
        {"x": Tensor("F32", values[:3]), "y": Tensor("F32", values[3:])},
    ]
    assert len({fingerprint(tensors) for tensors in variants}) == len(variants)


def test_fingerprint_is_the_same_whatever_is_hashed_at_once(monkeypatch):
    tensors = {name: Tensor("F32", value) for name, value in small.tensors().items()}
    whole = fingerprint(tensors)
    for at_once in (1, 13, 64):
        monkeypatch.setattr("efive.models.tensors._HASHED_AT_ONCE", at_once)
        assert fingerprint(tensors) == whole
