"""How much memory there is for engines."""

from types import SimpleNamespace

from efive.deployments import memory


def test_memory_of_a_container_is_what_its_limit_leaves(tmp_path, monkeypatch):
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: SimpleNamespace(available=2_000_000))
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("900000\n")
    assert memory.available(tmp_path) == 100_000
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 700000\n")
    assert memory.available(tmp_path) == 800_000
    (tmp_path / "memory.max").write_text("max\n")
    assert memory.available(tmp_path) == 2_000_000
    assert memory.available(tmp_path / "nowhere") == 2_000_000
