"""What the figures were measured on, and with."""

import os
import platform
import sqlite3
import ssl
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SHOWN = (
    "replysequence",
    "uvloop",
    "aiohttp",
    "sqlalchemy",
    "psycopg",
    "fastapi",
    "uvicorn",
    "google-api-python-client",
    "msgraph-sdk",
    "httpx",
    "aiosqlite",
)
_TICKS = os.sysconf("SC_CLK_TCK")
_PARENT = 1
_CPU = slice(11, 15)
"""utime, stime, and those of the children that were waited for."""


def machine() -> str:
    """Cores, memory, system and processor in one phrase."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = os.cpu_count() or 1
    return (
        f"{cores} cores, {memory:.0f} GiB of memory, {_processor()}, {platform.system()} {platform.release()}"
    )


def versions(*more: str) -> str:
    """Python, SQLite, OpenSSL and every library that the figures depend on, and ``more``."""
    found = [
        f"Python {platform.python_version()}",
        f"SQLite {sqlite3.sqlite_version}",
        ssl.OPENSSL_VERSION.rsplit(" ", 3)[0],
        *more,
        *(f"{name} {_version(name)}" for name in SHOWN if _version(name)),
    ]
    return ", ".join(found)


def cpu_of_family(pid: int) -> float:
    """CPU seconds that a process and its children, running and ended, have used so far."""
    family = [pid, *(each for each in _running() if _fields(each)[_PARENT] == str(pid))]
    return sum(sum(map(int, _fields(each)[_CPU])) for each in family) / _TICKS


def _running() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _fields(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the third on (proc(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return ["0"] * 50  # it has ended meanwhile: its parent counts it


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
