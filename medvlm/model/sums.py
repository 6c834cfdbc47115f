"""Whether a model folder's tensor files are as they were written: their SHA-256 sums beside them, as `sha256sum -c` reads them.

Torch-free.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..errors import ModelError

FILE = "weights.sha256"


def tensor_files(folder: Path) -> list[Path]:
    """The safetensors files of a model's folder and its adapter's."""
    return sorted(p for place in (folder, folder / "adapter") for p in place.glob("*.safetensors"))


def digest(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path) -> None:
    """Write the sums of the tensor files that a folder holds; whoever saves one of them calls this."""
    lines = [f"{digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in tensor_files(folder)]
    (folder / FILE).write_text("".join(lines), encoding="ascii")


def check_sums(folder: Path, only: str = "") -> None:
    """Compare the tensor files, or `only` the one of that name, with their sums; a folder without sums passes.

    Raises `ModelError` for the first that is missing or another than was written.
    """
    if not (folder / FILE).is_file():
        return
    for line in (folder / FILE).read_text(encoding="ascii", errors="replace").splitlines():
        wanted, _, name = line.partition("  ")
        path = folder / name
        if (not only or name == only) and not (path.is_file() and digest(path) == wanted):
            raise ModelError(
                f"The model in {folder.name!r} cannot be read: {name} is missing or not as {FILE} has it. "
                "Install medvlm again, or export the model again."
            )
