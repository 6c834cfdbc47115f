"""How many questions of an author who saw no wording of training become the right calls.

    python benchmarks/reading.py [--model nano]

Prints the share of the 500 questions of `tests/conversation/reading.txt` with its 95 % interval, beside what always taking the
commonest call would get.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from common import interval, table

from medvlm.conversation.backends import make_reader
from medvlm.conversation.grammar import parse
from medvlm.model.loading import model_folder
from training.reading import read_wordings
from training.stage_reader import fits, judged

QUESTIONS = Path(__file__).parent.parent / "tests/conversation/reading.txt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="nano")
    args = parser.parse_args()
    wordings = read_wordings(QUESTIONS)
    right = judged(make_reader(None, model_folder(args.model)), wordings)
    ((commonest, _),) = Counter(wording.calls for wording in wordings).most_common(1)
    trivial = np.mean([fits(parse(commonest.split("||")[0]), wording) for wording in wordings])
    each = [str(number) for number in range(len(right))]
    print(table(["n", "read rightly", f"always {commonest}"], [[len(right), interval(right, each), f"{trivial:.3f}"]]))


if __name__ == "__main__":
    main()
