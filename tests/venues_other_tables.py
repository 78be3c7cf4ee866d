"""The venues service of a version whose table of latencies had another name, with a long session."""

from __future__ import annotations

import runpy

from services.venues import tables

if __name__ == "__main__":
    tables.LAGS = "lags"  # type: ignore[misc]  # before the shell takes it from there

    from services.venues import faust_app

    faust_app.SESSION_S = 20.0  # type: ignore[misc]  # longer than a start takes on a busy machine
    runpy.run_module("services.venues", run_name="__main__")
