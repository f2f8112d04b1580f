"""Few arenas for all threads, where the C library is glibc."""

import platform
import re
import subprocess
import sys

import pytest

from leadscore.ops.allocator import MOST_ARENAS, VARIABLE, keep_few_arenas

ARENAS_OF_TEN_THREADS = """
import ctypes, sys, threading
from leadscore.ops.allocator import keep_few_arenas
if sys.argv[1] == "few":
    assert keep_few_arenas()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
barrier = threading.Barrier(10)
def work():
    barrier.wait()
    libc.malloc(5_000)
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(10)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
libc.fopen.restype = ctypes.c_void_p
libc.malloc_info(0, ctypes.c_void_p(libc.fopen(b"/dev/stdout", b"w")))
libc.fflush(None)
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="arenas are glibc's")


def arenas(how: str) -> int:
    """Of a process with ten threads that allocate at the same time."""
    done = subprocess.run(
        [sys.executable, "-c", ARENAS_OF_TEN_THREADS, how], capture_output=True, text=True, check=True
    )
    return len(re.findall(r"<heap nr=", done.stdout))


def test_ten_threads_share_few_arenas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert arenas("default") > MOST_ARENAS
    assert arenas("few") <= MOST_ARENAS


def test_what_an_operator_has_set_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "4")
    assert not keep_few_arenas()
