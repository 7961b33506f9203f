"""GNU SASL behind a small SMTP server (see sasl_program.py)."""
import ctypes.util
import os

from cyrus import launch
from fixture import Missing

NAME = "gsasl"


def start(stage):
    if not ctypes.util.find_library("gsasl"):
        raise Missing("GNU SASL's library is not installed")
    return launch(stage, NAME, dict(os.environ))
