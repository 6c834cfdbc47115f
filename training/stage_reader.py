"""Train the reader: LoRA in its encoder, and its decoder, on wordings that are made anew at every step."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from medvlm.conversation.grammar import Program, Symbols, parse, text_of
from medvlm.conversation.reader import Batch, NanoReader, new_reader, pieces
from medvlm.conversation.reader_model import ReaderModel

from .reading import FOLDER, Examples, Wording, known_values, read_wordings, same

POOL = 16  # batches that are made at once and sorted by length


@dataclass
class Lesson:
    """Examples as tensors: the questions, what is to be written `(B, S)`, the pieces copied, and the targets `(B, S)`."""

    batch: Batch
    symbols: torch.Tensor
    copied: torch.Tensor
    target: torch.Tensor

    def to(self, device: torch.device) -> Lesson:
        tensors = (getattr(self, name).to(device) for name in ("symbols", "copied", "target"))
        return Lesson(self.batch.to(device), *tensors)


def lesson(reader: NanoReader, examples: list[tuple[str, str, Program]]) -> Lesson:
    """Examples `(before, question, program)` as tensors."""
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
    return Lesson(batch, symbols, copied, target)


def loss_of(model: ReaderModel, taught: Lesson) -> torch.Tensor:
    """Cross entropy of the symbols of some examples."""
    batch = taught.batch
    memory, words = model.read(batch.tokens, batch.starts)
    logits = model.write(
        memory, words, batch.tokens["attention_mask"], batch.there, taught.symbols[:, :-1], taught.copied[:, :-1]
    )
    return F.cross_entropy(logits.flatten(0, 1), taught.target.flatten(), ignore_index=-100)


class Lessons(IterableDataset):
    """Endless lessons of examples alike in length, whose things are all known or in their question."""

    def __init__(self, reader: NanoReader, wordings: list[Wording], size: int):
        self.reader, self.wordings, self.size = reader, wordings, size

    def __iter__(self) -> Iterator[Lesson]:
        worker = get_worker_info()
        examples = Examples(self.wordings, worker.id if worker else 0)
        while True:
            pool: list[tuple[int, tuple[str, str, Program]]] = []
            while len(pool) < POOL * self.size:
                before, question, program = examples.one()
                words = pieces(before) + pieces(question)
                with suppress(ValueError):
                    self.reader.symbols.write(program, words)
                    pool.append((len(words), (before, question, program)))
            pool.sort(key=lambda one: one[0])
            parts = [[example for _, example in pool[at : at + self.size]] for at in range(0, len(pool), self.size)]
            examples.chance.shuffle(parts)
            yield from (lesson(self.reader, part) for part in parts)


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
    parser.add_argument("--every", type=int, default=500, help="steps between scores and copies of the weights")
    parser.add_argument("--seconds", type=float, default=1e9)
    parser.add_argument("--processes", type=int, default=0, help="that make examples beside the training")
    parser.add_argument(
        "--encoder", type=Path, help="a folder with the pretrained encoder, if its package is not there"
    )
    args = parser.parse_args()
    torch.manual_seed(0)
    wordings = [wording for path in sorted(FOLDER.glob("*.txt")) for wording in read_wordings(path)]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    reader = new_reader(Symbols(known_values(wordings)), args.encoder)
    lessons = Lessons(reader, wordings, args.batch)
    made = iter(
        DataLoader(
            lessons,
            batch_size=None,
            num_workers=args.processes,
            multiprocessing_context="fork" if args.processes else None,
        )
    )
    reader.model.to(device)
    trained = [p for p in reader.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=args.lr, weight_decay=0.01)
    began = time.time()
    for step in range(args.steps):
        done = max(step / args.steps, (time.time() - began) / args.seconds)
        if done >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = args.lr * min(1, (step + 1) / 100) * (1 - done)
        reader.model.train()
        loss = loss_of(reader.model, next(made).to(device))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"{step} {time.time() - began:.0f} s loss {float(loss):.3f}", file=sys.stderr, flush=True)
        if args.tune and step % args.every == args.every - 1:
            print(f"{step} tune {score(reader, read_wordings(args.tune)):.3f}", file=sys.stderr, flush=True)
            reader.save(args.output)
    reader.save(args.output)
    if args.tune:
        print(f"tune {score(reader, read_wordings(args.tune)):.3f}", file=sys.stderr)


if __name__ == "__main__":
    main()
