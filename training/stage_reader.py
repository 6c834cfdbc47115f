"""Train the reader: LoRA in its encoder, and its decoder, on wordings that are made anew at every step."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from torch.nn import functional as F

from medvlm.conversation.grammar import Program, Symbols, parse, text_of
from medvlm.conversation.reader import NanoReader, new_reader, pieces

from .reading import FOLDER, Examples, Wording, known_values, read_wordings, same

POOL = 16  # batches that are made at once and sorted by length


def loss_of(reader: NanoReader, examples: list[tuple[str, str, Program]]) -> torch.Tensor:
    """Cross entropy of the symbols of some examples."""
    batch = reader.batch([(before, question) for before, question, _ in examples])
    count, number = len(reader.symbols.names), reader.symbols.number
    written = [
        reader.symbols.write(program, words) for (_, _, program), words in zip(examples, batch.words, strict=True)
    ]
    width = max(map(len, written))
    symbols = torch.zeros(len(written), width, dtype=torch.long)
    copied = torch.full_like(symbols, -1)
    target = torch.full_like(symbols, -100)
    for row, said in enumerate(written):
        for at, (name, word) in enumerate(said):
            symbols[row, at], copied[row, at] = number[name], word
            target[row, at] = number[name] if word < 0 else count + word
    memory, words = reader.model.read(batch.tokens, batch.starts)
    logits = reader.model.write(
        memory, words, batch.tokens["attention_mask"], batch.there, symbols[:, :-1], copied[:, :-1]
    )
    return F.cross_entropy(logits.flatten(0, 1), target.flatten(), ignore_index=-100)


def batches(reader: NanoReader, examples: Examples, size: int) -> Iterator[list[tuple[str, str, Program]]]:
    """Endless batches of examples alike in length, whose things are all known or in their question."""
    while True:
        pool: list[tuple[int, tuple[str, str, Program]]] = []
        while len(pool) < POOL * size:
            before, question, program = examples.one()
            words = pieces(before) + pieces(question)
            with suppress(ValueError):
                reader.symbols.write(program, words)
                pool.append((len(words), (before, question, program)))
        pool.sort(key=lambda one: one[0])
        parts = [[example for _, example in pool[at : at + size]] for at in range(0, len(pool), size)]
        examples.chance.shuffle(parts)
        yield from parts


def score(reader: NanoReader, wordings: list[Wording], show: bool = False) -> float:
    """The share of wordings that become (one of) their calls."""
    right = 0
    for at in range(0, len(wordings), 50):
        part = wordings[at : at + 50]
        for wording, reading in zip(part, reader.read_many([(w.before, w.question) for w in part]), strict=True):
            fits = any(same(reading.calls, parse(one), wording.before) for one in wording.calls.split("||"))
            right += fits
            if show and not fits:
                print(
                    f"({wording.before}) {wording.question}\n    {wording.calls}\n    {text_of(reading.calls)}  {reading.chance:.2f}"
                )
    return right / max(1, len(wordings))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--tune", type=Path, help="wordings that are scored on the way")
    parser.add_argument("--seconds", type=float, default=1e9)
    args = parser.parse_args()
    torch.manual_seed(0)
    wordings = [wording for path in sorted(FOLDER.glob("*.txt")) for wording in read_wordings(path)]
    reader = new_reader(Symbols(known_values(wordings)))
    examples = Examples(wordings, 0)
    trained = [p for p in reader.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.lr, weight_decay=0.01)
    made = batches(reader, examples, args.batch)
    began, mean = time.time(), 0.0
    for step in range(args.steps):
        done = max(step / args.steps, (time.time() - began) / args.seconds)
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1, (step + 1) / 100) * (1 - done)
        reader.model.train()
        loss = loss_of(reader, next(made))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        mean = 0.98 * mean + 0.02 * float(loss) if step else float(loss)
        if step % 50 == 0:
            print(f"{step} {time.time() - began:.0f} s loss {mean:.3f}", file=sys.stderr, flush=True)
        if args.tune and step % 250 == 249:
            print(f"{step} tune {score(reader, read_wordings(args.tune)):.3f}", file=sys.stderr, flush=True)
            reader.save(args.output)
    reader.save(args.output)


if __name__ == "__main__":
    main()
