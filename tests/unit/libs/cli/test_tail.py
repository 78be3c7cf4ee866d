from libs.cli.executions_by_id import WholeRecords
from libs.cli.tail import is_of
from libs.common.topics import EXECUTION_AUDIT, EXECUTION_RECORDS, L2_TRADES, progress_key

ID = "d585da82-2fb6-5596-94a2-0296c89596cf"
OTHER = "d585da82-ffff-5596-94a2-0296c89596cf"


def test_the_progress_of_an_executions_children_is_of_the_execution() -> None:
    key = ID.encode()
    assert all(is_of(EXECUTION_RECORDS, of, key) for of in (key, progress_key(ID, 3), progress_key(ID, None)))
    assert not is_of(EXECUTION_RECORDS, progress_key(OTHER, 3), key)
    assert not is_of(EXECUTION_RECORDS, None, key)
    assert is_of(EXECUTION_AUDIT, key, key)


def test_keys_of_other_topics_are_compared_whole() -> None:
    assert is_of(L2_TRADES, b"binance:BTC-USDT", b"binance:BTC-USDT")
    assert not is_of(L2_TRADES, b"binance:BTC-USDT", b"BTC-USDT")


def test_an_execution_is_looked_for_among_whole_records_alone() -> None:
    view = WholeRecords()
    assert view.wants(ID.encode())
    assert not view.wants(progress_key(ID, 3))
    assert not view.wants(progress_key(ID, None))
