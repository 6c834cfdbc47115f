"""The commands of `medvlm`, one file each: HELP, the options that it shares (PARENTS), `configure` for its own, and `run`,
which makes of parsed arguments a JSON object and a text for people.

Heavy packages are imported inside `run`, so that `medvlm --help` is instant; input is read and checked before the model is
loaded, so that a mistake is told at once.
"""

from . import (
    ask,
    batch,
    bench,
    check_report,
    data_check,
    deidentify,
    eval,
    fetch,
    ground,
    listen,
    mcp,
    password,
    report,
    segment,
    series,
    serve,
    store,
    tune,
    watch,
)
from .options import Load, Output

# In the order of `medvlm --help`.
COMMANDS = {
    "ask": ask,
    "ground": ground,
    "segment": segment,
    "report": report,
    "check-report": check_report,
    "series": series,
    "deidentify": deidentify,
    "fetch": fetch,
    "store": store,
    "watch": watch,
    "listen": listen,
    "batch": batch,
    "eval": eval,
    "tune": tune,
    "data check": data_check,
    "serve": serve,
    "password": password,
    "mcp": mcp,
    "bench": bench,
}

__all__ = ["COMMANDS", "Load", "Output"]
