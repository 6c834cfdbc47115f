"""Pictures of what a policy was chosen from: how well confidence holds, and what each threshold of presence costs."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import RequestError
from ..policy import DecisionPolicy
from ..vocabulary import LABELS
from .tune import GRID, Look, ScoredAnswer, calibrated

BINS = 10


def check_plots() -> None:
    """Raises `RequestError` where matplotlib is not installed."""
    if importlib.util.find_spec("matplotlib") is None:
        raise RequestError("The plots need matplotlib; pip install 'medvlm-assistant[training]', or leave -o out.")


def draw(rows: Sequence[Look], answers: Sequence[ScoredAnswer], policy: DecisionPolicy, folder: Path) -> list[Path]:
    """`presence.png` and `reliability.png` in a folder."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "presence.png", folder / "reliability.png"]
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    for axes, anatomy in zip(figure.subplots(1, 2), (True, False), strict=True):
        mine = [r for r in rows if (LABELS[r.label].kind == "anatomy") == anatomy]
        for there, name in ((True, "missed of those that are there"), (False, "false alarms of those that are absent")):
            chances = np.array([r.chance for r in mine if r.there == there])
            if len(chances):
                shares = (chances[:, None] >= GRID).mean(0)
                axes.plot(GRID, 1 - shares if there else shares, label=f"{name} (n = {len(chances)})")
        axes.axvline(
            policy.anatomy if anatomy else policy.finding, color="grey", linestyle=":", label="the kind's threshold"
        )
        axes.set(
            title="normal structures" if anatomy else "findings, devices, objects", xlabel="shown from a presence of"
        )
        axes.set(ylim=(0, 1), ylabel="share")
        axes.legend()
    figure.savefig(paths[0])
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    for who in sorted({s.who for s in answers}):
        pairs = np.array(sorted((calibrated(policy, s), s.right) for s in answers if s.who == who), float)
        bins = [part.mean(0) for part in np.array_split(pairs, BINS) if len(part)]
        axes.plot(*np.array(bins).T, marker="o", label=f"{who} (n = {len(pairs)})")
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="confidence", ylabel="share of right answers")
    axes.legend()
    figure.savefig(paths[1])
    return paths
