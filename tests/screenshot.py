"""``make screenshot``: the page of the system that ``make run`` runs now, as the picture of README.md."""

from __future__ import annotations

import os
import sys
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.sync_api import Error, ViewportSize, sync_playwright

from tests.browser import find_browser

PICTURE: Final = Path(__file__).parents[1] / "docs/page.png"
MOST_BYTES: Final = 200_000  # of a picture that everybody clones
PORT: Final = os.environ.get("GATEWAY_PORT", "5000")
SHOWN: Final = f"http://127.0.0.1:{PORT}/?view=market&symbol=BTC-USDT"
SIZE: Final = ViewportSize(width=1280, height=1490)
COLOURS: Final = 200
SCALE: Final = 0.9  # of a pixel of the page
LOOK_S: Final = 20.0  # so that the depth of some seconds is drawn
DRAWN: Final = "() => document.querySelectorAll('table.ladder').length > 2"


def main() -> int:
    """Take the picture, or say what it takes; return the exit code."""
    browser = find_browser()
    if browser is None:
        sys.stderr.write("make screenshot: there is no Chromium: install one, or name it in CHROMIUM\n")
        return os.EX_CONFIG
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport=SIZE, device_scale_factor=SCALE, color_scheme="dark")
        try:
            page.goto(SHOWN)
            page.wait_for_function(DRAWN)
        except Error as error:
            sys.stderr.write(f"make screenshot: {SHOWN} shows no books; is it ready? {error.message}\n")
            return os.EX_UNAVAILABLE
        page.wait_for_timeout(1000 * LOOK_S)
        picture = of_few_colours(page.screenshot())
        chromium.close()
    if len(picture) > MOST_BYTES:
        sys.stderr.write(f"make screenshot: {len(picture)} bytes are over {MOST_BYTES}: show less\n")
        return os.EX_DATAERR
    PICTURE.write_bytes(picture)
    sys.stdout.write(f"{PICTURE.relative_to(Path.cwd())}: {len(picture)} bytes\n")
    return 0


def of_few_colours(picture: bytes) -> bytes:
    """Return a PNG with a palette, which is a third of the bytes."""
    written = BytesIO()
    with Image.open(BytesIO(picture)) as whole:
        whole.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(written, "PNG", optimize=True)
    return written.getvalue()


if __name__ == "__main__":
    sys.exit(main())
