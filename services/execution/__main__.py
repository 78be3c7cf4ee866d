"""Run the execution service: ``python -m services.execution``."""

from __future__ import annotations

from libs.common.processor import run
from libs.common.startup import begin
from services.execution.app import wiring
from services.execution.monitoring import ExecutionMonitor
from services.execution.settings import ExecutionSettings

if __name__ == "__main__":
    settings = begin(ExecutionSettings, "execution")
    run(wiring(settings), settings, ExecutionMonitor())
