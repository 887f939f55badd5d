"""Takes from this process what reading a stranger's file does not need, for good.

Limits on memory, time and files hold on every Unix, another user if it was root's. On Linux, Landlock closes the file
system but for the folder of the work and Python's own, TCP, and other processes; a kernel without it closes nothing.
"""

import contextlib
import ctypes
import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

_NOBODY = 65_534
_NO_NEW_PRIVILEGES = 38  # of prctl; numbers of <linux/landlock.h> follow
_CREATE, _ADD, _RESTRICT = 444, 445, 446  # the same on every architecture
_ABI = 1
_BENEATH = 1
_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, read a folder
_FILES = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}  # all rights that a version knows
_TCP, _SCOPES = 0b11, 0b11  # bind, connect; abstract sockets, signals


def confine(memory: int, seconds: int, written: int, readable: Sequence[Path]) -> list[str]:
    """Confine this process to its working folder.

    Args:
        memory: bytes that it may map beyond those that it has.
        seconds: of processor time.
        written: bytes of the largest file that it may write.
        readable: folders that it may read besides.

    Returns:
        What took effect, of `limits`, `user` and `landlock`; the last only if there is no thread besides this one,
        which it would not hold for.
    """
    done = []
    if _limit(memory, seconds, written):
        done.append("limits")
    with contextlib.suppress(OSError, AttributeError):
        alone = _alone()
        if _landlock(readable) and alone:
            done.append("landlock")
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        with contextlib.suppress(OSError):
            os.setgroups([])
            os.setgid(_NOBODY)
            os.setuid(_NOBODY)
            done.append("user")
    return done


def give_away(folder: Path) -> None:
    """Let the user that a confined process becomes have a folder with what is in it."""
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        for path in (folder, *folder.iterdir()):
            os.chown(path, _NOBODY, _NOBODY)


def _limit(memory: int, seconds: int, written: int) -> bool:
    try:
        import resource  # noqa: PLC0415 - Unix only
    except ImportError:
        return False
    limits = {"RLIMIT_CPU": seconds, "RLIMIT_FSIZE": written, "RLIMIT_CORE": 0, "RLIMIT_NOFILE": 256}
    if sys.platform == "linux":  # elsewhere mapped memory is not what counts
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limits["RLIMIT_AS"] = memory + pages * resource.getpagesize()
    for name, most in limits.items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (value, value))
    return True


def _alone() -> bool:
    return sum(1 for _ in Path("/proc/self/task").iterdir()) == 1


def _landlock(readable: Sequence[Path]) -> bool:
    if sys.platform != "linux":
        return False
    system = ctypes.CDLL(None, use_errno=True)
    abi = system.syscall(_CREATE, None, ctypes.c_size_t(0), _ABI)
    if abi < 1:
        return False
    files = _FILES[min(abi, max(_FILES))]
    rules = struct.pack("<QQQ", files, _TCP, _SCOPES)[: 8 if abi < 4 else 16 if abi < 6 else 24]
    ruleset = _checked(system.syscall(_CREATE, rules, ctypes.c_size_t(len(rules)), 0))
    for path, rights in [(Path.cwd(), files), *((path, _READ) for path in readable if path.is_dir())]:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("<Qi", rights & files, folder)
        _checked(system.syscall(_ADD, ruleset, _BENEATH, rule, 0))
        os.close(folder)
    _checked(system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0))
    _checked(system.syscall(_RESTRICT, ruleset, 0))
    os.close(ruleset)
    return True


def _checked(answer: int) -> int:
    if answer < 0:
        raise OSError(ctypes.get_errno(), "landlock")
    return answer
