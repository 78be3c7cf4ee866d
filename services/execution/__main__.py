"""Run the execution service: ``python -m services.execution``."""

from __future__ import annotations

from libs.common.processor import ProcessorSettings, run
from services.execution.app import wiring
from services.execution.monitoring import ExecutionMonitor
from services.execution.settings import ExecutionSettings

if __name__ == "__main__":
    run(wiring(ExecutionSettings()), ProcessorSettings(), ExecutionMonitor())
