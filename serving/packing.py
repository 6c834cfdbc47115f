"""Files that are written together, as one to send."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path


def packed(paths: Sequence[Path], folder: Path, name: str) -> tuple[str, bytes]:
    """Name and content of the only one of some files below `folder`, or of a zip with all, which is called `name`."""
    if len(paths) == 1:
        return paths[0].name, paths[0].read_bytes()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in paths:
            archive.write(path, path.relative_to(folder))
    return name, stream.getvalue()
