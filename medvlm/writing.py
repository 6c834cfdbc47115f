"""Files that are there whole or not at all, whatever a disk does while they are written."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


def whole(path: Path, write: Callable[[Path], object]) -> Path:
    """Put what `write` writes to the path that it is given in the place of `path`; where it fails, what was there stays.

    Raises `OSError` as `write` does.
    """
    new = path.with_name(f".{path.name}.new")
    try:
        write(new)
        return new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
