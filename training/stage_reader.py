"""Train the reader: LoRA in its encoder, and its decoder, on wordings that are made anew at every step."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.nn import functional as F
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from medvlm.conversation.grammar import Program, Symbols, parse, text_of
from medvlm.conversation.reader import Batch, NanoReader, new_reader, pieces
from medvlm.conversation.reader_model import ReaderModel

from .reading import FOLDER, Examples, Wording, known_values, read_wordings, same

EVERY = 250  # steps between lines of the log
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
    for row, program in enumerate(written):
        for at, (name, word) in enumerate(program):
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

    def __init__(self, reader: NanoReader, wordings: list[Wording], size: int, seed: int = 0):
        self.reader, self.wordings, self.size, self.seed = reader, wordings, size, seed

    def __iter__(self) -> Iterator[Lesson]:
        worker = get_worker_info()
        examples = Examples(self.wordings, 1000 * self.seed + (worker.id if worker else 0))
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


def judged(reader: NanoReader, wordings: Sequence[Wording], show: bool = False) -> list[bool]:
    """Whether each wording becomes (one of) its calls; `show` prints those that do not."""
    judgements = []
    for at in range(0, len(wordings), 50):
        part = wordings[at : at + 50]
        for wording, reading in zip(part, reader.read_many([(w.before, w.question) for w in part]), strict=True):
            judgements.append(fits(reading.calls, wording))
            if show and not judgements[-1]:
                print(
                    f"({wording.before}) {wording.question}\n    {wording.calls}\n    {text_of(reading.calls)}  {reading.chance:.2f}"
                )
    return judgements


def fits(calls: Program, wording: Wording) -> bool:
    """Whether calls are (one of) a wording's."""
    return any(same(calls, parse(one), wording.before) for one in wording.calls.split("||"))


def score(reader: NanoReader, wordings: Sequence[Wording], show: bool = False) -> float:
    """The share of wordings that become (one of) their calls."""
    return sum(judged(reader, wordings, show)) / max(1, len(wordings))


def take_up(reader: NanoReader, folder: Path) -> None:
    """Put the weights of an earlier reader in the place of a new one's; symbols that it did not know stay as they are."""
    former = {name: row for row, name in enumerate(json.loads((folder / "reader.json").read_text())["symbols"])}
    state, mine = load_file(folder / "reader.safetensors"), reader.model.state_dict()
    rows = [(new, former[name]) for new, name in enumerate(reader.symbols.names) if name in former]
    for part in ("symbol.weight", "bias"):
        old, state[part] = state[part].float(), mine[part].clone()
        state[part][[new for new, _ in rows]] = old[[row for _, row in rows]]
    reader.model.load_state_dict({name: tensor.float() for name, tensor in state.items()}, strict=False)


def train_reader(
    steps: int,
    size: int,
    lr: float,
    seconds: float | None = None,
    processes: int = 0,
    seed: int = 0,
    encoder: Path | None = None,
    start: Path | None = None,
    tune: Sequence[Wording] = (),
) -> tuple[NanoReader, int]:
    """A reader that was taught all wordings, and the steps it took; the rate falls to zero by `steps` or `seconds`.

    `start` is the folder of a reader to go on from, `processes` make the examples beside the training, and `tune` holds
    wordings that are scored on the way.
    """
    torch.manual_seed(seed)
    wordings = [wording for path in sorted(FOLDER.glob("*.txt")) for wording in read_wordings(path)]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    reader = new_reader(Symbols(known_values(wordings)), encoder)
    if start:
        take_up(reader, start)
    lessons = Lessons(reader, wordings, size, seed)
    context = "fork" if processes else None
    made = iter(DataLoader(lessons, batch_size=None, num_workers=processes, multiprocessing_context=context))
    reader.model.to(device)
    trained = [p for p in reader.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=lr, weight_decay=0.01)
    began, step = time.time(), 0
    while (done := max(step / steps, (time.time() - began) / (seconds or torch.inf))) < 1:
        for group in optimizer.param_groups:
            group["lr"] = lr * min(1, (step + 1) / 100) * (1 - done)
        reader.model.train()
        loss = loss_of(reader.model, next(made).to(device))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        step += 1
        if step % EVERY == 0:
            suffix = f", tune {score(reader, tune):.3f}" if tune else ""
            print(f"{step} {time.time() - began:.0f} s loss {loss.item():.3f}{suffix}", file=sys.stderr, flush=True)
    reader.model.cpu()
    return reader, step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=96)
    parser.add_argument("--lr", type=float, default=6e-4)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--processes", type=int, default=0, help="that make examples beside the training")
    parser.add_argument(
        "--encoder", type=Path, help="a folder with the pretrained encoder, if its package is not there"
    )
    parser.add_argument("--start", type=Path, help="the folder of a reader to go on from")
    parser.add_argument("--tune", type=Path, help="wordings that are scored on the way")
    args = parser.parse_args()
    tune = read_wordings(args.tune) if args.tune else []
    how = {"seconds": args.seconds, "processes": args.processes, "encoder": args.encoder, "start": args.start}
    reader, _ = train_reader(args.steps, args.batch, args.lr, **how, tune=tune)
    reader.save(args.output)
    if tune:
        print(f"tune {score(reader, tune, show=True):.3f}")


if __name__ == "__main__":
    main()
