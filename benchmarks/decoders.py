"""Which decoder of DICOM's compressed pixels survives broken streams, for every transfer syntax and plugin of pydicom.

python -m benchmarks.decoders [--count 500]

`medvlm/studies/decoders.py` follows this table. Each stream is decoded in a process of its own: "ended" counts those
that the decoder took down or held for longer than its time, "panic" those of its errors that are no `Exception`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections import Counter
from importlib import import_module
from pathlib import Path
from random import Random

import pydicom
from pydicom.pixels import get_decoder, iter_pixels
from pydicom.uid import UID

from medvlm.studies.worker import Job, run
from tests.mutants import dicom_seeds, mutant

# plugin -> pydicom's module of it
MODULES = {"gdcm": "gdcm", "pylibjpeg": "pylibjpeg", "pillow": "pillow", "pyjpegls": "pyjpegls", "pydicom": "rle"}
SECONDS, MEMORY = 4, 900 * 2**20


def decode(path: Path, plugin: str) -> list[str]:
    """What one plugin makes of a file, in a word."""
    try:
        data = pydicom.dcmread(path)
        decoder = get_decoder(data.file_meta.TransferSyntaxUID)
        if plugin not in decoder.available_plugins:  # left out by the product
            decoder.add_plugin(plugin, (f"pydicom.pixels.decoders.{MODULES[plugin]}", "_decode_frame"))
        return ["read" if sum(1 for _ in iter_pixels(data, decoding_plugin=plugin)) else "refused"]
    except Exception:
        return ["refused"]
    except BaseException:
        return ["panic"]


def available(syntax: UID) -> list[str]:
    """The plugins that decode a transfer syntax here."""
    modules = {name: import_module(f"pydicom.pixels.decoders.{module}") for name, module in MODULES.items()}
    return [n for n, m in modules.items() if syntax in m.DECODER_DEPENDENCIES and m.is_available(syntax)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="broken streams for each transfer syntax")
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "file"
        for kind, originals in dicom_seeds(folder).items():
            random = Random(kind)
            path.write_bytes(originals[0])
            syntax = pydicom.dcmread(path).file_meta.TransferSyntaxUID
            counts: dict[str, Counter[str]] = {plugin: Counter() for plugin in available(syntax)}
            for _ in range(count):
                path.write_bytes(mutant(random.choice(originals), random, originals))
                for plugin, seen in counts.items():
                    job = Job("benchmarks.decoders:decode", (path, plugin), "file", SECONDS, MEMORY, os.getcwd())
                    result = run(job, 0)[0]
                    seen[result[0] if isinstance(result, list) else "ended"] += 1
            for plugin, seen in counts.items():
                print(
                    f"{kind[7:60]:54}{plugin:10}", *(f"{n} {seen[n]:<6}" for n in ("read", "refused", "panic", "ended"))
                )


if __name__ == "__main__":
    main()
