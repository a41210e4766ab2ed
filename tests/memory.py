"""How much memory a process holds."""

from pathlib import Path


def resident(pid: int) -> int:
    """Pages of memory that a process holds; one where the system does not tell."""
    file = Path(f"/proc/{pid}/statm")
    return int(file.read_text().split()[1]) if file.exists() else 1
