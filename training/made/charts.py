"""Charts of many kinds, drawn by matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .ink import words

MAPS = ("viridis", "coolwarm", "magma", "Blues", "jet", "gray", "RdYlGn", "tab20")
DARK = {"axes.facecolor": "#1b1d22", "text.color": "w", "axes.labelcolor": "w", "xtick.color": "w", "ytick.color": "w"}


def curves(axes: Axes, rng: np.random.Generator) -> None:
    x = np.linspace(0, 10, 200)
    for _ in range(rng.integers(1, 7)):
        y = (
            np.cumsum(rng.normal(size=200))
            if rng.random() < 0.5
            else np.sin(x * rng.uniform(0.3, 3)) * rng.uniform(1, 9)
        )
        axes.plot(x, y, lw=rng.uniform(0.6, 3), label=words(rng, 1), ls=str(rng.choice(["-", "--", ":"])))
        if rng.random() < 0.2:
            axes.fill_between(x, y - 1, y + 1, alpha=0.3)
    if rng.random() < 0.6:
        axes.legend()


def steps(axes: Axes, rng: np.random.Generator) -> None:
    """As survival and receiver operating curves look."""
    for _ in range(rng.integers(1, 4)):
        fall = np.concatenate([[1], 1 - np.sort(rng.uniform(0, rng.uniform(0.3, 1), 25))])
        axes.step(np.sort(rng.uniform(0, 60, 26)), fall if rng.random() < 0.5 else 1 - fall, where="post")
    axes.set_ylim(0, 1.05)


def bars(axes: Axes, rng: np.random.Generator) -> None:
    count, groups = int(rng.integers(3, 14)), int(rng.integers(1, 4))
    flat = rng.random() < 0.3
    for n in range(groups):
        at, high = np.arange(count) + n * 0.8 / groups, rng.uniform(1, 30, count)
        if flat:
            axes.barh(at, high, 0.8 / groups)
        else:
            axes.bar(at, high, 0.8 / groups, yerr=rng.uniform(0, 3, count) if rng.random() < 0.4 else None)
    (axes.set_yticks if flat else axes.set_xticks)(range(count), [words(rng, 1)[:7] for _ in range(count)])


def dots(axes: Axes, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 5)):
        x, y = rng.normal(rng.normal(0, 3, 2), rng.uniform(0.3, 2, 2), (int(rng.integers(10, 400)), 2)).T
        axes.scatter(x, y, s=rng.uniform(3, 50), alpha=rng.uniform(0.3, 1), marker=str(rng.choice(list("o^sx+"))))


def pie(axes: Axes, rng: np.random.Generator) -> None:
    parts = rng.uniform(1, 9, rng.integers(2, 9))
    axes.pie(parts, labels=[words(rng, 1) for _ in parts], wedgeprops={"width": rng.choice([0.4, 1.0])})


def histogram(axes: Axes, rng: np.random.Generator) -> None:
    for _ in range(rng.integers(1, 3)):
        axes.hist(rng.normal(rng.normal(), rng.uniform(0.4, 2), 900), bins=int(rng.integers(8, 60)), alpha=0.7)


def boxes(axes: Axes, rng: np.random.Generator) -> None:
    values = [rng.normal(rng.normal(0, 2), 1, 60) for _ in range(rng.integers(2, 9))]
    axes.violinplot(values) if rng.random() < 0.4 else axes.boxplot(values)


def heatmap(axes: Axes, rng: np.random.Generator) -> None:
    count = int(rng.integers(3, 14))
    values = rng.uniform(0, 1, (count, count))
    axes.imshow(values, cmap=str(rng.choice(MAPS)))
    for (y, x), value in np.ndenumerate(values) if count < 9 and rng.random() < 0.7 else ():
        axes.text(x, y, f"{value:.2f}", ha="center", va="center")


def surface(axes: Axes, rng: np.random.Generator) -> None:
    y, x = np.mgrid[-3:3:80j, -3:3:80j]
    height = sum(np.exp(-((x - a) ** 2) - (y - b) ** 2) * c for a, b, c in rng.normal(0, 1.3, (4, 3)))
    (axes.contourf if rng.random() < 0.5 else axes.contour)(x, y, height, 12, cmap=str(rng.choice(MAPS)))


DRAWN: dict[str, Callable[[Axes, np.random.Generator], None]] = {
    "curves": curves,
    "step curves": steps,
    "bars": bars,
    "dots": dots,
    "pie": pie,
    "histogram": histogram,
    "box plot": boxes,
    "heat map": heatmap,
    "contours": surface,
}


def chart(rng: np.random.Generator, *kinds: str) -> np.ndarray:
    """A figure with a panel a kind, in a style of its own."""
    dark = rng.random() < 0.25
    style: dict[Any, Any] = {
        "font.family": str(rng.choice(["sans-serif", "serif"])),
        "font.size": rng.uniform(7, 14),
        "axes.grid": rng.random() < 0.4,
    }
    with rc_context(style | (DARK if dark else {})):
        size = rng.uniform(3, 9), rng.uniform(2.5, 7)
        figure = Figure(size, dpi=rng.uniform(60, 120), facecolor="#14161a" if dark else "w")
        canvas = FigureCanvasAgg(figure)
        colours = colormaps[str(rng.choice(["tab10", "Set1", "Dark2", "gray"]))](np.linspace(0, 0.9, 8))
        for number, kind in enumerate(kinds, start=1):
            axes = figure.add_subplot(1, len(kinds), number)
            axes.set_prop_cycle(color=[tuple(c) for c in colours])
            DRAWN[kind](axes, rng)
            if rng.random() < 0.7:
                axes.set_title(words(rng, 4))
            if rng.random() < 0.7 and kind != "pie":
                axes.set(xlabel=words(rng, 2), ylabel=words(rng, 2))
            if rng.random() < 0.15:
                axes.set_axis_off()
        canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def plot(rng: np.random.Generator) -> np.ndarray:
    """A chart of any kind."""
    return chart(rng, str(rng.choice(list(DRAWN))))


def maker(kind: str) -> Callable[[np.random.Generator], np.ndarray]:
    """Draws one kind, now and then beside another."""

    def draw(rng: np.random.Generator) -> np.ndarray:
        return chart(rng, kind, *([str(rng.choice(list(DRAWN)))] if rng.random() < 0.2 else []))

    return draw


CHARTS = {f"chart: {kind}": maker(kind) for kind in DRAWN}
