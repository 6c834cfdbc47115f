"""What is taken for a medical picture, and for several in one? Refused medical images, caught others, seams seen.

python benchmarks/medical.py DATA_SET… [--split report] [--limit 40] [--made 40] [--others FOLDER] [--model nano]

Of each data set: images refused as no medical ones, plain and in disguise (words, borders, a viewer's window, a phone's photo,
cuts), single pictures that are called several, and pairs pasted from them that are seen. Of each kind of picture that no
training makes (`unseen_kinds`), and of the pictures in a folder of one's own: how many are refused. Intervals are Wilson's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

import numpy as np
import PIL.Image
from common import arguments, bar, chosen, table
from unseen_kinds import UNSEEN

from medvlm.assistant import Assistant
from medvlm.seams import parts
from medvlm.types import Image, Study
from training.made import disguised
from training.seams import pasted, picture


def share(hits: Sequence[bool]) -> str:
    """A share with n and Wilson's 95 % interval, which is no point at 0 or 1."""
    n, z = len(hits), 1.96
    if not n:
        return ""
    p = sum(hits) / n
    middle, half = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    low, high = ((middle + sign * half) / (1 + z * z / n) for sign in (-1, 1))
    return f"{p:.3f} [{max(0, low):.3f}, {min(1, high):.3f}] of {n}"


def rng(kind: str, number: int = 0) -> np.random.Generator:
    return np.random.default_rng([1, crc32(kind.encode()), number])


def others(folder: Path) -> Iterator[np.ndarray]:
    for path in sorted(p for p in folder.iterdir() if p.suffix.lower() in (".png", ".jpg", ".jpeg")):
        yield np.asarray(PIL.Image.open(path).convert("RGB"))


def seen_apart(first: np.ndarray, second: np.ndarray, chance: np.random.Generator) -> bool:
    """Whether two pictures pasted into one are told apart about where they meet."""
    whole, beside, (low, high) = pasted(first, second, chance)
    slack = 0.02 * max(whole.shape[:2])
    ends = [box[2 if beside else 3] for box in parts(whole)]
    return any(low - slack <= end <= high + slack for end in ends)


def main() -> None:
    parser = arguments(__doc__, "unused", limit=40)
    parser.add_argument("--made", type=int, default=40, help="pictures of each unseen kind (40)")
    parser.add_argument("--others", type=Path, help="folder of pictures of nothing medical")
    args = parser.parse_args()
    assistant = Assistant.load(args.model)

    def refused(pixels: np.ndarray) -> bool:
        return assistant.facts(Study([Image(pixels)])).medical < assistant.policy.medical

    lines, columns = [], [[], [], [], []]
    for records in chosen(args.data, args.split, args.limit, lambda r: r.modality != "photograph"):
        images = [picture(record) for record in records]
        found = (
            [refused(record.image) for record in bar(records)],
            [refused(disguised(image, rng(r.key))) for r, image in list(zip(records, images, strict=True))[::4]],
            [len(parts(image)) > 1 for image in images],
            [seen_apart(a, b, rng(r.key)) for r, a, b in zip(records, images, images[1:], strict=False)],
        )
        lines.append([records[0].set, *map(share, found)])
        columns = [all_of + some for all_of, some in zip(columns, found, strict=True)]
    head = ["set", "refused", "refused in disguise", "one picture called several", "pairs seen"]
    print(table(head, [*lines, ["all", *map(share, columns)]]))
    kinds = {kind: [make(rng(kind, n)) for n in range(args.made)] for kind, make in UNSEEN.items()}
    if args.others:
        kinds["own pictures"] = list(others(args.others))
    caught = {kind: [refused(pixels) for pixels in some] for kind, some in kinds.items()}
    print("\n" + table(["nothing medical", "refused"], [[kind, share(some)] for kind, some in caught.items()]))


if __name__ == "__main__":
    main()
