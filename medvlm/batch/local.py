"""The plain engine: requests → `responses.jsonl` in this process, a line a request; run again, it goes on."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..errors import RequestError
from .answering import Load, answer_window
from .lines import Request
from .sources import images_of, requests_of

WINDOW = 1000  # requests looked through for the same image


def run_batch(
    assistant: Any,
    requests: Path,
    responses: Path,
    load: Load | None = None,
    progress: bool = True,
) -> dict[str, int]:
    """Answer every request that `responses` does not answer yet; image paths are relative to the requests' folder.

    Returns how many were answered, failed (an error line each) and stood there already. Raises `RequestError` if a
    file cannot be read or written.
    """
    from ..studies import load_study

    if requests.resolve() == responses.resolve():
        raise RequestError("The responses would overwrite the requests; give another file with -o.")
    counts = {"answered": 0, "failed": 0, "skipped": 0}
    total = sum(1 for _ in requests_of(requests))
    try:
        done = _take_up(responses)
        with (
            responses.open("a", encoding="utf-8") as out,
            tqdm(total=total, unit="request", file=sys.stderr, disable=not progress) as bar,
        ):
            asked = (line.request() for line in requests_of(requests))
            while window := list(itertools.islice(asked, WINDOW)):
                todo = [request for request in window if _mark(request) not in done]
                counts["skipped"] += len(window) - len(todo)
                bar.update(len(window) - len(todo))
                for _, response in answer_window(assistant, todo, images_of(requests), load or load_study):
                    out.write(json.dumps(response) + "\n")
                    out.flush()
                    counts["failed" if "error" in response else "answered"] += 1
                    bar.update()
    except OSError as error:
        raise RequestError(f"{error.filename or responses}: {error.strerror}. Check the path.") from error
    return counts


def _mark(request: Request) -> str:
    """What tells a request from the others: its id, or for a broken line its message, which names the line."""
    return json.dumps(request.id) if request.id is not None else f"broken: {request.error}"


def _take_up(responses: Path) -> set[str]:
    """The requests that a responses file answers; a last line that a kill cut off is taken away."""
    if not responses.is_file():
        return set()
    kept, done = [], set()
    for line in responses.read_text(encoding="utf-8", errors="replace").split("\n"):
        try:
            row = json.loads(line)
            number = row["id"]
            done.add(json.dumps(number) if number is not None else f"broken: {row['error']['message']}")
            kept.append(line + "\n")
        except (ValueError, KeyError, TypeError):
            continue
    scratch = responses.with_name(responses.name + ".tmp")
    scratch.write_text("".join(kept), encoding="utf-8")
    scratch.replace(responses)
    return done
