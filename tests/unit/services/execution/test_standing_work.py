"""What stands and waits costs nothing until something happens to it."""

from __future__ import annotations

from tests.standing_orders import LOOK_NS, S, TOPS_PER_S, Standing

ORDERS = 300
SECONDS = 10


def resting(orders: int) -> Standing:
    service = Standing()
    service.book()
    for number in range(orders):
        service.submit(number)
    service.pass_time(0.1)
    service.written.clear()
    return service


def test_orders_that_rest_write_nothing_while_their_book_moves_elsewhere() -> None:
    service = resting(ORDERS)
    for n in range(SECONDS * TOPS_PER_S):
        service.book(60_000.0 + n % 7)
        service.pass_time(LOOK_NS / S)
    assert service.written == {}, f"{service.written.total() / SECONDS:g} records a second"
