"""What a measurement ran on, and what a process takes of it."""

import os
import platform
from pathlib import Path

from benchmarks.errors import BenchmarkError
from models.versions import versions


def describe() -> dict[str, object]:
    """Processor, system, load and versions, for the file beside the numbers."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_before": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.system(),
        **versions("numpy", "tensorflow-cpu", "tensorflow", "keras", "openvino"),
    }


def processor_time(pid: int) -> float:
    """Seconds of processor time that a running process has taken so far.

    Raises:
        BenchmarkError: on a system without /proc.
    """
    user, system = _told(pid, "stat").rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Bytes of memory that a running process holds now.

    Raises:
        BenchmarkError: on a system without /proc.
    """
    return int(_told(pid, "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def peak(pid: int) -> int:
    """The most memory that a running process has held, in kB.

    Raises:
        BenchmarkError: on a system without /proc.
    """
    lines = _told(pid, "status").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def _told(pid: int, file: str) -> str:
    try:
        return Path(f"/proc/{pid}/{file}").read_text()
    except OSError:
        raise BenchmarkError("What a process takes is read from /proc, which this system does not have.") from None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.processor())
