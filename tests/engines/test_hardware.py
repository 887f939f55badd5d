import os

import pytest

from efive.engines import hardware


def test_flags_are_read(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text(
        "processor\t: 0\nmodel name\t: Some CPU\nflags\t\t: fpu avx2 avx512f avx512_bf16\n\nprocessor\t: 1\n"
    )
    found = hardware.detect(file)
    assert found.processor == "Some CPU"
    assert found.instruction_sets == ("avx512-bf16", "avx512", "avx2")
    assert found.native_bf16


def test_an_old_processor_has_no_bf16(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("model name\t: Old CPU\nflags\t\t: fpu sse4_2 avx2\n")
    assert not hardware.detect(file).native_bf16


def test_no_cpuinfo_is_no_error(tmp_path):
    assert hardware.detect(tmp_path / "none").instruction_sets == ()


@pytest.mark.parametrize(
    ("content", "expected"), [("max 100000", None), ("150000 100000", 1.5), ("50000 100000", 0.5), ("rubbish", None)]
)
def test_container_quota(tmp_path, content, expected):
    (tmp_path / "cpu.max").write_text(content)
    assert hardware._cgroup_quota(tmp_path / "cpu.max", tmp_path / "none") == expected


def test_old_container_quota(tmp_path):
    (tmp_path / "cpu.cfs_quota_us").write_text("200000\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")
    assert hardware._cgroup_quota(tmp_path / "none", tmp_path) == 2.0
    (tmp_path / "cpu.cfs_quota_us").write_text("-1\n")
    assert hardware._cgroup_quota(tmp_path / "none", tmp_path) is None


def test_quota_rounds_up_and_affinity_counts(monkeypatch):
    monkeypatch.setattr(hardware, "_cgroup_quota", lambda: 0.5)
    assert hardware.available_cpus() == 1
    monkeypatch.setattr(hardware, "_cgroup_quota", lambda: 1.2)
    assert hardware.available_cpus() == min(2, len(os.sched_getaffinity(0)))
    monkeypatch.setattr(hardware, "_cgroup_quota", lambda: 1000.0)
    assert hardware.available_cpus() == len(os.sched_getaffinity(0))
