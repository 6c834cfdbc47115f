"""What `import medvlm` offers, and what it does not load for that."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import medvlm

ROOT = Path(__file__).parents[1]


def loaded(code: str, *names: str) -> list[str]:
    """Which of some modules a fresh Python has loaded after running `code`."""
    code = f"import sys\n{code}\nprint(*(name for name in {names!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_importing_the_package_loads_nothing_of_it() -> None:
    heavy = ("torch", "transformers", "numpy", "medvlm.assistant", "medvlm.studies", "medvlm.types")
    assert loaded("import medvlm; dir(medvlm); medvlm.__version__", *heavy) == []


def test_files_are_read_and_types_made_without_torch() -> None:
    code = "from medvlm import Image, Limits, Study, StudyError, load_study, list_series"
    assert loaded(code, "torch", "medvlm.studies") == ["medvlm.studies"]


@pytest.mark.parametrize("name", medvlm.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert name in dir(medvlm)
    value = getattr(medvlm, name)
    assert name == "__version__" or value.__name__ == name


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'medvlm' has no attribute 'nothing_of_this_name'"):
        medvlm.nothing_of_this_name  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nothing_of_this_name'"):
        from medvlm import nothing_of_this_name  # noqa: F401


def test_the_distribution_is_named_apart_from_the_package_and_typed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["project"]["name"] == "medvlm-assistant", "another project has medvlm on PyPI"
    assert settings["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "medvlm.__version__"}
    assert "py.typed" in settings["tool"]["setuptools"]["package-data"]["medvlm"]
    assert (ROOT / "medvlm" / "py.typed").is_file()
