"""How the execution service sizes, as the gateway makes a size again with what is known now; pure.

With `audit_check` the only place where a service imports another: `size` is a pure function, and to ask the
service what it would do now would be a command for every look.
"""

from __future__ import annotations

from services.execution.decide.sizing import MODEL, S_MAX, VOL_FLOOR, SizingInputs, size

__all__ = ["MODEL", "S_MAX", "VOL_FLOOR", "SizingInputs", "size"]
