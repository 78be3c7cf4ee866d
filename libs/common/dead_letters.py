"""What is kept of what could not be handled: bytes that are no message, commands that a service failed on.

They, their key, and headers that say why and whence; pure.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from libs.common.cloudevents import ATTRIBUTES
from libs.common.topics import DEAD_LETTERS

if TYPE_CHECKING:
    from libs.common.cloudevents import Headers

ENVELOPE_BYTES: Final = 64 * 1024  # left for key, headers and the batch's own header
KEY_BYTES: Final = 4096
TEXT_BYTES: Final = 4096
TRACEBACK_CHARS: Final = 16_384  # its end, where the failure is
ATTRIBUTE_BYTES: Final = 256


def dead_letter(
    key: bytes, raw: bytes, reason: str, source: str, headers: Headers = (), traceback: str = ""
) -> tuple[bytes, bytes, Headers]:
    """Return key, value and headers of the dead letter about `raw`, which came from `source`.

    What is over the topic's limit is cut; the headers ``original-value-bytes`` and ``original-value-sha256``
    (``-key-``) then tell its length and what it was. Of the original's `headers` the CloudEvents attributes
    are kept, of a `traceback` the end.
    """
    told = [("reason", _text(reason)), ("source", _text(source))]
    if traceback:
        told.append(("traceback", _text(traceback[-TRACEBACK_CHARS:], TRACEBACK_CHARS)))
    value_bytes = DEAD_LETTERS.max_message_bytes - ENVELOPE_BYTES
    for name, whole, most in (("value", raw, value_bytes), ("key", key, KEY_BYTES)):
        if len(whole) > most:
            told.append((f"original-{name}-bytes", str(len(whole)).encode()))
            told.append((f"original-{name}-sha256", sha256(whole).hexdigest().encode()))
    told += [(name, value[:ATTRIBUTE_BYTES]) for name, value in headers if name in ATTRIBUTES]
    return key[:KEY_BYTES], raw[:value_bytes], told


def _text(text: str, most: int = TEXT_BYTES) -> bytes:
    return text.encode("utf-8", "backslashreplace")[:most]
