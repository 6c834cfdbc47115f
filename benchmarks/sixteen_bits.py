"""Does the language model in 16 bits, as a CPU asks it, read and answer as in 32?

    python benchmarks/sixteen_bits.py DATA_SET… [--split tune] [--limit 10] [--model nano]

Every third phrase of `phrasings.yaml` and of the tune part of `outside_phrases.yaml`: whether the same label is the likeliest.
The English questions of a set's images: whether the same short answer is, and how many are the set's own. Beside them seconds of
computing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import torch
import yaml
from common import arguments, bar, chosen, table

from medvlm.model.loading import load
from medvlm.normalise import normalise_answer
from medvlm.perception.finder import Finder

HERE = Path(__file__).parent
BATCH = 8


def phrases() -> list[str]:
    known = yaml.safe_load((HERE / "phrasings.yaml").read_text(encoding="utf-8"))
    outside = yaml.safe_load((HERE / "outside_phrases.yaml").read_text(encoding="utf-8"))["tune"]
    return [*(phrase for label in known.values() for phrase in label), *outside][1::3]


def timed(work: Callable[[], torch.Tensor]) -> tuple[torch.Tensor, float]:
    began = time.process_time()
    return work(), time.process_time() - began


@torch.inference_mode()
def main() -> None:
    parser = arguments(__doc__, "nothing", 10)
    parser.set_defaults(split="tune")
    args = parser.parse_args()
    (whole, processor, name), (half, _, _) = load(args.model), load(args.model, sixteen_bits=True)
    models, texts = (whole, half), phrases()
    batches = [processor.phrases(texts[i : i + BATCH]) for i in range(0, len(texts), BATCH)]
    read = [timed(lambda m=m: torch.cat([m.name_phrases(**b).argmax(1) for b in batches])) for m in models]
    rows = [
        ["phrases", str(len(texts)), str(int((read[0][0] == read[1][0]).sum())), "", *(f"{s:.2f}" for _, s in read)]
    ]
    finder, answers = Finder(whole, processor, name), [normalise_answer(answer) for answer in whole.config.answers]
    for records in chosen(args.data, args.split, args.limit, lambda record: record.qa):
        asked, alike, right, seconds = 0, 0, [0, 0], [0.0, 0.0]
        for record in bar(records):
            features = finder.view(record.study()).features
            for qa in (qa for qa in record.qa if qa.lang == "en"):
                text = processor.phrases([qa.question])
                states = [timed(lambda m=m, text=text: m.text_states(**text)) for m in models]
                best = [int(m.choose_answers(features, s).argmax()) for m, (s, _) in zip(models, states, strict=True)]
                right = [n + (answers[b] == normalise_answer(qa.answer)) for n, b in zip(right, best, strict=True)]
                seconds = [n + s for n, (_, s) in zip(seconds, states, strict=True)]
                asked, alike = asked + 1, alike + (best[0] == best[1])
        correct = f"{right[0]}, {right[1]}"
        rows.append([f"questions of {records[0].set}", str(asked), str(alike), correct, *(f"{s:.2f}" for s in seconds)])
    print(table(["", "n", "alike", "right in 32, in 16 bits", "s in 32 bits", "s in 16 bits"], rows))


if __name__ == "__main__":
    main()
