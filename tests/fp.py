"""Floating-point modes and flags of the calling thread, through a few lines of C compiled on the fly."""

from __future__ import annotations

import ctypes
import functools
import gc
import os
import shlex
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SOURCE = r"""
#include <stdint.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
uint64_t fp_get(void) { return _mm_getcsr(); }
void fp_set(uint64_t word) { _mm_setcsr((unsigned)word); }
#elif defined(__aarch64__)
uint64_t fp_get(void)
{
    uint64_t control, status;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("mrs %0, fpsr" : "=r"(status));
    return status << 32 | control;
}
void fp_set(uint64_t word)
{
    uint64_t control = word & 0xffffffffu, status = word >> 32;
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
    __asm__ volatile("msr fpsr, %0" : : "r"(status));
}
#endif
"""
# Control words: the default, and what callers set. On x86 FTZ is bit 15, DAZ bit 6, the rounding mode bits 13-14, and
# bits 0-5 are the sticky flags; on arm64 FZ is bit 24 of fpcr, the rounding mode bits 22-23.
WORDS = {
    "x86_64": {"default": 0x1f80, "FTZ": 0x9f80, "DAZ": 0x1fc0, "FTZ and DAZ": 0x9fc0, "up": 0x5f80, "down": 0x3f80,
               "to zero": 0x7f80, "all flags raised": 0x1fbf, "some flags raised": 0x1f81,
               "FTZ, DAZ, down and flags": 0xbfe1},
    "aarch64": {"default": 0, "FZ": 1 << 24, "up": 1 << 22, "down": 2 << 22, "to zero": 3 << 22,
                "all flags raised": 0x1f << 32, "FZ, down and flags": 0x1 << 32 | 1 << 24 | 2 << 22},
}
machine = os.uname().machine if hasattr(os, "uname") else ""
MODES = {name: word for name, word in WORDS.get(machine, {}).items() if name != "default"}


@functools.cache
def library() -> ctypes.CDLL:
    """The compiled helper; skips the test where there is no compiler or no control word that it knows."""
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")
    if machine not in WORDS or shutil.which(compiler[0]) is None:
        pytest.skip("needs a C compiler on x86-64 or arm64")
    folder = Path(tempfile.mkdtemp(prefix="fastact-fp-"))
    try:
        (folder / "fp.c").write_text(SOURCE)
        command = [*compiler, "-O1", "-shared", "-fPIC", str(folder / "fp.c"), "-o", str(folder / "fp.so")]
        subprocess.run(command, check=True, capture_output=True)
        loaded = ctypes.CDLL(str(folder / "fp.so"))
    finally:
        shutil.rmtree(folder)
    loaded.fp_get.restype, loaded.fp_get.argtypes = ctypes.c_uint64, ()
    loaded.fp_set.restype, loaded.fp_set.argtypes = None, (ctypes.c_uint64,)
    return loaded


@contextmanager
def modes(word: int) -> Iterator[None]:
    """Runs the block under another control word and checks that the block leaves it, flags included, as it was."""
    fp = library()
    collects = gc.isenabled()
    gc.disable()  # a collection calls finalizers of anybody's objects, whose arithmetic leaves flags
    before = fp.fp_get()
    fp.fp_set(word)
    try:
        yield
        after = fp.fp_get()
    finally:
        fp.fp_set(before)
        if collects:
            gc.enable()
    assert after == word, f"the control and status word was {word:#x} and is now {after:#x}"
