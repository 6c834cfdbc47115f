"""How often each data set is sampled: named mixtures, all in `mixtures.yaml`."""

from __future__ import annotations

from pathlib import Path

import yaml

from medvlm.errors import RequestError


def read_mixture(name: str) -> dict[str, float]:
    """The weights of data sets in the mixture of that name. Raises `RequestError` where there is none."""
    mixtures = yaml.safe_load(Path(__file__).with_name("mixtures.yaml").read_text(encoding="utf-8"))
    if name not in mixtures:
        raise RequestError(
            f"No mixture {name!r}: name one of {', '.join(mixtures)} (training/datasets/mixtures.yaml), or give weights."
        )
    return {data_set: float(weight) for data_set, weight in mixtures[name].items()}
