"""Where alerts are posted to."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator

from libs.common.settings import Settings

MOST_CHARS: Final = 2_048
_FORM: Final = "write it as https://host/path, as the receiver gives it"


class AlertSettings(Settings):
    """The webhook; its address is a secret, for whoever has it may write to the channel behind it."""

    alert_webhook_url: SecretStr | None = Field(
        None, description="address, http or https, that alerts are posted to; unset or empty: none is"
    )

    @field_validator("alert_webhook_url")
    @classmethod
    def _check_webhook(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        text = value.get_secret_value()
        if len(text) > MOST_CHARS or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError(
                f"ALERT_WEBHOOK_URL must be ASCII without spaces, at most {MOST_CHARS} characters: {_FORM}"
            )
        try:
            address = urlsplit(text)
            host, port = address.hostname, address.port
        except ValueError:
            raise ValueError(f"ALERT_WEBHOOK_URL must be an address: {_FORM}") from None
        if address.scheme not in {"http", "https"} or not host or port == 0:
            raise ValueError(f"ALERT_WEBHOOK_URL must be an address of http or https with a host: {_FORM}")
        return value
