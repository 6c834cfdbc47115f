"""How much a second: users who ask together, a volume's slices, a language model's tokens, and what the machine could do at most."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .types import Image, Study

USERS, EACH = 8, 4  # who ask together, and the phrases of each
TOKENS = 16  # that are written
SLICES = 12
COPIED = 2**27  # bytes, more than any cache holds
MATRIX = 1536  # rows and columns

Submit = Callable[[str, Callable[[], Any]], Any]  # a user's name and work → its result, once its turn came


@dataclass(frozen=True)
class Together:
    """What users who ask together get: pieces of work a second, and the longest wait of one in medians."""

    rate: float
    longest: float


def together(submit: Submit, works: list[list[Callable[[], Any]]]) -> Together:
    """Users each have a list of work done, one piece after another."""
    waits: list[float] = []

    def ask(user: int) -> None:
        for work in works[user]:
            began = time.perf_counter()
            submit(f"user {user}", work)
            waits.append(time.perf_counter() - began)

    threads = [threading.Thread(target=ask, args=(user,)) for user in range(len(works))]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Together(len(waits) / (time.perf_counter() - began), max(waits) / statistics.median(waits))


def distinct(pixels: np.ndarray, number: int) -> Study:
    """A study of an image like no other's, uint8 `(H, W, 3)`."""
    return Study([Image(np.roll(pixels, number, 1))])


def phrases(assistant: Any, submit: Submit, pixels: np.ndarray, phrase: str) -> tuple[Together, Together]:
    """One user, and then `USERS`, who look for a phrase in images that were not seen before."""

    def work(number: int) -> Callable[[], Any]:
        return lambda: assistant.ground(distinct(pixels, number), [phrase])

    alone = [[work(number) for number in range(1, 2 * EACH)]]
    beside = [[work(number) for number in range(user, USERS * EACH, USERS)] for user in range(USERS)]
    return together(submit, alone), together(submit, beside)


def slices(assistant: Any, pixels: np.ndarray) -> float:
    """Slices a second of a volume in which one thing is looked for."""
    images = [Image(np.roll(pixels, n, 0), (1.0, 1.0), f"slice {n + 1} of {SLICES}") for n in range(SLICES)]
    volume = Study(images, kind="volume", metadata={"slice_spacing_mm": 2.0})
    began = time.perf_counter()
    assistant.ground(volume, ["liver"])
    return SLICES / (time.perf_counter() - began)


def decoded(model: Any, tokenizer: Any, tokens: int = TOKENS) -> int:
    """Have a causal language model of transformers write so many tokens; returns their number."""
    import torch

    prompt = torch.tensor([tokenizer.encode("Describe what a chest film shows.")], device=model.device)
    options = {"do_sample": False, "min_new_tokens": tokens, "max_new_tokens": tokens}
    with torch.inference_mode():
        written = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), pad_token_id=tokenizer.eos_token_id, **options
        )
    return written.shape[1] - prompt.shape[1]


def tokens(assistant: Any, submit: Submit) -> tuple[float, float]:
    """Tokens a second that the embedded language model writes for one user, and for `USERS` together."""
    model, tokenizer = assistant.finder.model.language_model, assistant.finder.processor.tokenizer

    work = partial(decoded, model, tokenizer)
    return together(submit, [[work]]).rate * TOKENS, together(submit, [[work]] * USERS).rate * TOKENS


def bandwidth() -> float:
    """GB a second that a copy in memory reads and writes."""
    source, target = np.ones(COPIED, np.uint8), np.zeros(COPIED, np.uint8)
    return 2 * COPIED / fastest(lambda: np.copyto(target, source)) / 1e9


def matrix_rate() -> float:
    """GFLOP a second of a product of float32 matrices in torch."""
    import torch

    a, b = torch.rand(MATRIX, MATRIX), torch.rand(MATRIX, MATRIX)
    return 2 * MATRIX**3 / fastest(lambda: a @ b) / 1e9


def fastest(work: Callable[[], Any], times: int = 5) -> float:
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return min(spent)


def least(assistant: Any, gflops: float, gigabytes: float, pixels: np.ndarray) -> dict[str, float]:
    """What the machine allows at most: seconds to encode an image at its matrix rate, and tokens a second where each reads
    every weight once at its memory's bandwidth."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    finder = assistant.finder
    shown = finder.processor(images=[pixels])["pixel_values"].to(finder.device)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        finder.model.encode_images(shown)  # in torch, whose operations are counted
    read = sum(tensor.nbytes for tensor in finder.model.language_model.parameters())
    return {
        "an image encoded at the matrix rate, s": counter.get_total_flops() / 1e9 / gflops,
        "tokens a second at the bandwidth": gigabytes * 1e9 / read,
    }
