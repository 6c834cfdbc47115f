"""Broken files by the thousand, read as the product reads them: `make fuzz`, or python -m tests.fuzz [--count N] [--seed N].

With `--seconds` it stops in time; the tests read some for a few seconds, `make fuzz` all 10,000.

Each must give a study or one sentence, within 1 GB and five seconds of computing, or of the clock where it does not
compute, whatever becomes of the process that reads it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from medvlm.errors import MedVLMError
from medvlm.studies import Limits
from medvlm.studies.worker import AT_ONCE, Ending, job, run
from medvlm.types import Study

from .mutants import Seeds, mutant, repaired, seeds

MOST_SECONDS, MOST_BYTES = 5.0, 10**9
LIMITS = Limits()


@dataclass
class Result:
    """What became of one file."""

    kind: str
    number: int
    outcome: str  # read, refused, or ended: the process that read it was
    seconds: float  # of computing
    peak: int  # bytes of memory
    fault: str = ""  # what it did that it must not


@dataclass
class Table:
    """What became of all."""

    results: list[Result] = field(default_factory=list)

    @property
    def faults(self) -> list[Result]:
        return [result for result in self.results if result.fault]

    def lines(self) -> list[str]:
        out = [f"{'':64}{'read':>6}{'refused':>9}{'ended':>7}{'slowest':>10}{'peak':>9}"]
        kinds = sorted({result.kind for result in self.results})
        for kind in [*kinds, ""]:
            rows = [result for result in self.results if kind in ("", result.kind)]
            counts = Counter(result.outcome for result in rows)
            slowest, peak = max(r.seconds for r in rows), max(r.peak for r in rows)
            numbers = f"{counts['read']:6}{counts['refused']:9}{counts['ended']:7}{slowest:8.2f} s{peak / 1e6:6.0f} MB"
            out.append(f"{kind[:63] or 'all':64}{numbers}")
        return out + [f"{r.fault}: file {r.number}, {r.kind}" for r in self.faults]


def content(number: int, seed: int, originals: Seeds) -> tuple[str, bytes]:
    """The kind and the bytes of one broken file; the kinds take turns."""
    random = Random(f"{seed} {number}")
    kind = list(originals)[number % len(originals)]
    broken = mutant(random.choice(originals[kind]), random, sum(originals.values(), []))
    return kind, repaired(broken) if kind == "PNG" else broken


def fuzz(count: int, seed: int, numbers: list[int] | None = None, seconds: float = float("inf")) -> Table:
    """Read `count` broken files, or those of the given numbers, as far as one comes in so many seconds."""
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="medvlm-fuzz-") as name, ThreadPoolExecutor(AT_ONCE) as pool:
        folder = Path(name)
        originals = seeds(folder)

        def one(number: int) -> Result | None:
            if time.monotonic() > end:
                return None
            kind, broken = content(number, seed, originals)
            path = folder / f"{number}.file"
            path.write_bytes(broken)
            try:
                return read(path, kind, number)
            finally:
                path.unlink()

        return Table([result for result in pool.map(one, numbers or range(count)) if result])


def read(path: Path, kind: str, number: int) -> Result:
    start = time.perf_counter()
    result, ending = run(job("load_study", [path], LIMITS), LIMITS.max_held_bytes)
    clock = time.perf_counter() - start
    outcome = "ended" if ending.code else "read" if isinstance(result, Study) else "refused"
    return Result(kind, number, outcome, ending.seconds, ending.peak, _fault(result, ending, clock, path))


def _fault(result: object, ending: Ending, clock: float, path: Path) -> str:
    words = str(result)
    if isinstance(result, MedVLMError):
        if "not foreseen" in words or not words.endswith(".") or "\n" in words or str(path.parent) in words:
            return f"no clear sentence ({words!r})"
    elif not isinstance(result, Study):
        return f"no study ({type(result).__name__})"
    hangs = clock > MOST_SECONDS and ending.seconds < clock / 10
    if ending.seconds > MOST_SECONDS or hangs:
        return f"{ending.seconds:.1f} s, {clock:.1f} s by the clock"
    return f"{ending.peak / 1e6:.0f} MB" if ending.peak > MOST_BYTES else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no other file after these")
    parser.add_argument("--only", type=int, nargs="*", help="numbers of files, as the faults name them")
    args = parser.parse_args()
    start = time.perf_counter()
    table = fuzz(args.count, args.seed, args.only, args.seconds)
    print("\n".join(table.lines()))
    print(f"{len(table.results)} files in {time.perf_counter() - start:.0f} s, {len(table.faults)} faults")
    return int(bool(table.faults))


if __name__ == "__main__":
    sys.exit(main())
