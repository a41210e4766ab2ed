"""What an engine has of an image from its last build: packages of this environment, copied where they are asked for."""

import os
import shutil
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from importlib.util import cache_from_source
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

READABLE = 0o444


def copy(wanted: Iterable[Requirement], venv: Path) -> None:
    """Give a virtual environment of this Python's version the distributions wanted, all that they need, and no more.

    One that is not installed here stays missing there: pip finds that out.
    """
    (site,) = venv.glob("lib/python*/site-packages")
    for one in closure(wanted):
        for file in one.files or ():
            source = Path(os.path.normpath(str(file.locate())))
            # Console scripts are written as ../../../bin/NAME.
            target = Path(os.path.normpath(site / file))
            pairs = [(source, target)]
            if source.suffix == ".py":
                # pip compiles what it installs, whether it keeps account of that or not.
                pairs.append((Path(cache_from_source(source)), Path(cache_from_source(target))))
            for here, there in pairs:
                if here.is_file() and there.is_relative_to(venv) and not there.exists():
                    there.parent.mkdir(parents=True, exist_ok=True)
                    _place(here, there, venv)


def closure(wanted: Iterable[Requirement]) -> list[Distribution]:
    """The installed distributions that requirements name, and those that these need here."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    todo = [(one, "") for one in wanted]
    while todo:
        one, asked = todo.pop()
        if one.marker is not None and not one.marker.evaluate({"extra": asked}):
            continue
        name = canonicalize_name(one.name)
        try:
            found[name] = found.get(name) or distribution(name)
        except PackageNotFoundError:
            continue
        for extra in {"", *one.extras} - {extra for known, extra in seen if known == name}:
            seen.add((name, extra))
            todo += [(Requirement(line), extra) for line in found[name].requires or ()]
    return list(found.values())


def _place(source: Path, target: Path, venv: Path) -> None:
    """The same file again where that costs nothing; a script starts its own environment's Python."""
    if target.parent == venv / "bin":
        content = source.read_bytes()
        own = f"#!{venv}/bin/python".encode()
        target.write_bytes(own + content[content.index(b"\n") :] if content.startswith(b"#!") else content)
        target.chmod(0o755)
        return
    if source.stat().st_mode & READABLE == READABLE:
        try:
            os.link(source, target)
            return
        except OSError:
            # Another file system, or one without links.
            pass
    shutil.copy2(source, target)
    target.chmod(0o644)
