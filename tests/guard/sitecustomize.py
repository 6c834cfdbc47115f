"""Python runs this first of all in every process that a test starts."""

import os
from pathlib import Path

import network

if network.ASKED in os.environ:
    network.start(Path(os.environ[network.ASKED]))
