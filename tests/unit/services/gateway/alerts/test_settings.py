from __future__ import annotations

import pytest
from pydantic import ValidationError

from services.gateway.alerts.settings import AlertSettings

MARK = "hunter2mark"


@pytest.mark.parametrize(
    "right", [f"https://hooks.example/T/{MARK}", f"http://127.0.0.1:9/{MARK}", "http://[::1]/x"]
)
def test_an_address_of_http_is_taken_and_shown_by_nobody(right: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERT_WEBHOOK_URL", right)
    settings = AlertSettings()
    assert settings.alert_webhook_url is not None
    assert settings.alert_webhook_url.get_secret_value() == right
    assert right not in f"{settings} {settings!r} {settings.model_dump()} {settings.model_dump_json()}"


def test_an_empty_address_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert AlertSettings().alert_webhook_url is None
    monkeypatch.setenv("ALERT_WEBHOOK_URL", "")
    assert AlertSettings().alert_webhook_url is None


@pytest.mark.parametrize(
    "wrong",
    [
        f"ftp://{MARK}/x",
        f"file:///{MARK}",
        f"{MARK}",
        f"https:///{MARK}",
        f"https://h.example/{MARK} x",
        f"https://h.example/{MARK}\nHost: evil",
        f"https://h.example:99999/{MARK}",
        f"https://h.example:0/{MARK}",
        f"https://[{MARK}/",
        f"https://h\u00e4.example/{MARK}",
        f"https://h.example/{MARK}" + "x" * 2048,
    ],
)
def test_what_is_no_address_of_http_is_refused_and_never_said(
    wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALERT_WEBHOOK_URL", wrong)
    with pytest.raises(ValidationError, match="ALERT_WEBHOOK_URL must be") as refused:
        AlertSettings()
    assert MARK not in f"{refused.value} {refused.value!r}"
