import threading

import pypdfium2 as pdfium
import pytest

from efive.errors import InputError
from efive.search.readers.choice import read
from efive.search.readers.files import File, Options
from efive.search.readers.pdf import joined, parse


def pdf(*pages: str, title: str = "", trailer: str = "") -> bytes:
    """A PDF in which each line of a page is a line of Helvetica."""
    kids = " ".join(f"{5 + 2 * number} 0 R" for number in range(len(pages)))
    bodies = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        f"<< /Title ({title}) >>",
    ]
    for number, page in enumerate(pages):
        shown = "".join(f"({line}) Tj 0 -20 Td " for line in page.split("\n"))
        stream = f"BT /F1 12 Tf 50 700 Td {shown}ET"
        fonts = "/Resources << /Font << /F1 3 0 R >> >>"
        bodies += [
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] {fonts} /Contents {6 + 2 * number} 0 R >>",
            f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream",
        ]
    content, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(bodies, 1):
        offsets.append(len(content))
        content += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    end = f"xref\n0 {len(bodies) + 1}\n0000000000 65535 f \n{table}trailer\n<< /Size {len(bodies) + 1} /Root 1 0 R "
    return content + f"{end}/Info 4 0 R {trailer} >>\nstartxref\n{len(content)}\n%%EOF\n".encode()


def saved(folder, content: bytes) -> File:
    (folder / "a.pdf").write_bytes(content)
    return File.of(folder / "a.pdf")


def test_each_page_with_text_is_a_section(tmp_path):
    [document] = read(saved(tmp_path, pdf("First page.\nIts end.", "", "Third page.", title="The Title")))
    found = [(section.page, document.text[section.start : section.end]) for section in document.sections]
    assert found == [(1, "First page.\nIts end."), (3, "Third page.")]
    assert (document.metadata["title"], document.metadata["kind"]) == ("The Title", "pdf")


def test_divided_words_are_joined(tmp_path):
    [document] = read(saved(tmp_path, pdf("Some infor-\nmation on a well-\nknown case; so well-known.")))
    assert document.text == "Some information on a well-known case; so well-known."


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("infor-\nmation", "information"),
        ("infor\ufffe\r\nmation".replace("\r", ""), "information"),
        ("Jean-\nPaul", "Jean-Paul"),
        ("1990-\n1995", "1990-1995"),
        ("a -\nb", "a -\nb"),
        ("a\n- b", "a\n- b"),
        ("one-\n\ntwo", "one-\n\ntwo"),
        ("\u6f22" * 100_000, "\u6f22" * 100_000),
    ],
)
def test_hyphens(page, text):
    assert joined(page, set()) == text


def test_sections_are_where_the_pages_are():
    parsed = parse(["a-\nb", " \n", "c d"], "T")
    assert [(s.page, parsed.text[s.start : s.end]) for s in parsed.sections] == [(1, "ab"), (3, "c d")]


def test_scans_need_ocr(tmp_path):
    document = pdfium.PdfDocument.new()
    for _ in range(2):
        document.new_page(100, 100).close()
    document.save(tmp_path / "a.pdf")
    document.close()
    with pytest.raises(InputError, match=r"a\.pdf: no text in it: 2 pages of images; run OCR first"):
        list(read(File.of(tmp_path / "a.pdf")))


def test_a_password_and_damage_are_told_apart(tmp_path):
    key = "00" * 32
    encrypted = f"/Encrypt << /Filter /Standard /V 1 /R 2 /O <{key}> /U <{key}> /P -4 >> /ID [<00> <00>]"
    with pytest.raises(InputError, match="password"):
        list(read(saved(tmp_path, pdf("text", trailer=encrypted))))
    with pytest.raises(InputError, match="damaged"):
        list(read(saved(tmp_path, pdf("text")[:200])))


def test_the_text_has_a_limit(tmp_path):
    with pytest.raises(InputError, match="larger than the limit"):
        list(read(saved(tmp_path, pdf("a" * 50, "b" * 50)), Options(max_bytes=80)))


def test_pipes_are_read(tmp_path):
    with saved(tmp_path, pdf("text")).path.open("rb") as stream:
        [document] = read(File(tmp_path, "stdin", stream), Options(kind="pdf"))
    assert document.text == "text"


def test_threads_take_turns(tmp_path):
    file = saved(tmp_path, pdf(*(f"Page {number}" for number in range(30))))
    texts = []
    threads = [threading.Thread(target=lambda: texts.extend(d.text for d in read(file))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(texts) == 4
    assert len(set(texts)) == 1
