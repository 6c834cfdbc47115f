"""The losses of a run as lines of JSON and as a picture, kept up to date while it trains."""

from __future__ import annotations

import json
from pathlib import Path

from transformers import TrainerCallback


class CurveCallback(TrainerCallback):
    """Appends every logged number to `log` and redraws `picture` at each checkpoint. A resumed run goes on in both."""

    def __init__(self, picture: Path, log: Path):
        self.picture, self.log = picture, log

    def on_log(self, args, state, control, logs=None, **_):
        if not state.is_world_process_zero:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        row = {"stage": Path(args.output_dir).name, "step": state.global_step}
        with self.log.open("a", encoding="utf-8") as file:
            numbers = {
                k: float(v) for k, v in (logs or {}).items() if k != "epoch"
            }  # of a run that was resumed it is wrong
            file.write(json.dumps(row | numbers) + "\n")

    def on_save(self, args, state, control, **_):
        if state.is_world_process_zero:
            draw_curves(self.log, self.picture)

    on_train_end = on_save


def draw_curves(log: Path, picture: Path) -> None:
    """One panel a stage, one line a logged number; logarithmic where none is zero or below."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    stages = list(dict.fromkeys(row["stage"] for row in rows))
    figure, axes = pyplot.subplots(1, len(stages), figsize=(7 * len(stages), 4.5), squeeze=False)
    for axis, stage in zip(axes[0], stages, strict=True):
        lines: dict[str, dict[int, float]] = {}
        for row in rows:
            if row["stage"] == stage:
                for name, value in row.items():
                    if name not in ("stage", "step", "learning_rate", "grad_norm") and "train_" not in name:
                        lines.setdefault(name, {})[row["step"]] = value
        for name, points in lines.items():
            axis.plot(*zip(*sorted(points.items()), strict=True), label=name, linewidth=1)
        positive = all(value > 0 for points in lines.values() for value in points.values())
        axis.set(title=stage, xlabel="step", yscale="log" if positive else "linear")
        axis.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(picture, dpi=90)
    pyplot.close(figure)
