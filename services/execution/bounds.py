"""How much may stand and be remembered at once, whoever asks for it; pure.

What is kept is kept per partition, so each has an equal part of what all may keep.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.execution.kept import kept_of

if TYPE_CHECKING:
    from libs.common.handling import State
    from services.execution.settings import ExecutionSettings


def no_order(state: State[Any], symbol: str, time_in_force: str, settings: ExecutionSettings) -> str:
    """Say why no order on its own may be sent now; "" where one may. Only what may rest counts as open."""
    orders = kept_of(state).orders
    if time_in_force == "gtc":
        of_symbol = len(orders.open.get(symbol, ()))
        if of_symbol >= settings.orders_per_symbol:
            return (
                f"{of_symbol} orders of {symbol} are open, and no more may rest "
                "(EXECUTION_ORDERS_PER_SYMBOL): cancel one, or try again when one has ended."
            )
        if orders.orders >= settings.part_of(settings.orders_most):
            return (
                f"{orders.orders} orders are open where those of {symbol} are worked, their part of "
                "EXECUTION_ORDERS_MOST: cancel one, or try again when one has ended."
            )
    return _remembered(state, settings)


def no_execution(state: State[Any], symbol: str, settings: ExecutionSettings) -> str:
    """Say why no execution may begin now; "" where one may."""
    under_way = kept_of(state).sagas.under_way
    if under_way >= settings.part_of(settings.running_most):
        return (
            f"{under_way} executions run where those of {symbol} are worked, their part of "
            "EXECUTION_RUNNING_MOST: cancel one, or try again when one has ended."
        )
    return _remembered(state, settings)


def _remembered(state: State[Any], settings: ExecutionSettings) -> str:
    kept = kept_of(state).kept_whole
    if kept < settings.part_of(settings.remembered_most):
        return ""
    return (
        f"{kept} orders and executions are remembered, this partition's part of EXECUTION_REMEMBERED_MOST: "
        "try again when one has been over for EXECUTION_REMEMBER_S."
    )
