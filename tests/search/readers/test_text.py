import pytest

from efive.errors import InputError
from efive.search.readers.text import decode

RUSSIAN = "Съешь же ещё этих мягких французских булок, да выпей чаю. " * 4


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_marks_and_utf8(encoding):
    assert decode(RUSSIAN.encode(encoding)) == RUSSIAN


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r"])
def test_other_encodings_are_guessed(encoding):
    assert decode(RUSSIAN.encode(encoding)) == RUSSIAN


def test_half_a_character_at_the_end_of_the_sample_excludes_no_encoding():
    text = "これは日本語の文章です。東京は日本の首都であり、多くの人が住んでいます。\n" * 8000
    assert decode(text.encode("euc-jp")) == text


def test_a_few_wrong_bytes_do_not_spoil_a_text():
    assert decode(RUSSIAN.encode() + b"\xff") == RUSSIAN + "\ufffd"


def test_line_ends_stay():
    assert decode(b"a\r\nb\rc\n") == "a\r\nb\rc\n"


def test_a_declaration_that_does_not_fit_is_not_believed():
    assert decode("é".encode(), "cp1252") == "Ã©"
    assert decode("é".encode(), "ascii") == decode("é".encode(), "no-such-encoding") == "é"


def test_zero_bytes_are_named():
    with pytest.raises(InputError, match="byte 2 is zero"):
        decode(b"ab\0c")
    with pytest.raises(InputError, match="UTF-16"):
        decode("plain".encode("utf-16-le"))
