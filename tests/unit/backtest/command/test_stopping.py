from __future__ import annotations

import os
import signal
import threading

import pytest

from backtest.command.stopping import stopping


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_asks_and_the_second_ends_at_once(
    number: int, capsys: pytest.CaptureFixture[str]
) -> None:
    flag, before = threading.Event(), signal.getsignal(number)
    with stopping(flag):
        os.kill(os.getpid(), number)
        assert flag.is_set()
        assert "once more ends at once" in capsys.readouterr().err
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
