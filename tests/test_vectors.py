import base64
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from efive import vectors
from efive.errors import InputError

ROWS = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 8), st.integers(1, 40)),
    elements=st.floats(-1e4, 1e4, width=32),
)


@given(ROWS)
def test_normalize_gives_unit_rows_and_keeps_zeros(rows):
    norms = np.linalg.norm(vectors.normalize(rows), axis=1)
    for norm, row in zip(norms, rows, strict=True):
        assert norm == pytest.approx(1 if np.linalg.norm(row) > 1e-18 else norm, abs=1e-5)
    assert (vectors.normalize(np.zeros((2, 3), np.float32)) == 0).all()


@given(ROWS)
def test_int8_is_within_half_a_step(rows):
    codes, scales = vectors.pack_int8(rows)
    assert codes.dtype == np.int8
    assert (np.abs(codes * scales - rows) <= scales * 0.5001).all()


def test_binary_keeps_signs():
    assert vectors.pack_binary(np.array([[1, -1, 0.5, 0, -2, 3, 1, 1, 9]], np.float32)).tolist() == [
        [0b10100111, 0b10000000]
    ]


def test_base64_is_little_endian_float32():
    assert base64.b64decode(vectors.to_base64(np.array([1.5, -2]))) == struct.pack("<2f", 1.5, -2)
    assert vectors.from_base64(vectors.to_base64(np.array([1.5, -2]))).tolist() == [1.5, -2]


def test_cut_is_unit_and_refuses_more():
    rows = vectors.normalize(np.arange(12, dtype=np.float32).reshape(2, 6))
    assert vectors.cut(rows, 3).shape == (2, 3)
    assert np.allclose(np.linalg.norm(vectors.cut(rows, 3), axis=1), 1)
    with pytest.raises(InputError, match="6 dimensions to 7"):
        vectors.cut(rows, 7)


def test_similarity_is_cosine():
    a, b = np.array([[2, 0], [0, 3]], np.float32), np.array([[1, 1]], np.float32)
    assert np.allclose(vectors.similarity(a, b), [[0.5**0.5], [0.5**0.5]])
    with pytest.raises(InputError, match="2 and 3"):
        vectors.similarity(a, np.ones((1, 3), np.float32))
