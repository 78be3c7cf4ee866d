"""Every block of the documents that is marked ``sh compose``, run as it is written, on ports of its own."""

from __future__ import annotations

import asyncio
import re
import shutil
from typing import TYPE_CHECKING, Final

import pytest

from tests.compose.stack import ONE_BROKER, ROOT, THREE_BROKERS, Stack
from tests.e2e.system import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

BLOCK: Final = re.compile(r"^```sh compose\n(.*?)^```$", re.MULTILINE | re.DOTALL)
BLOCKS: Final = {
    str(path.relative_to(ROOT)): BLOCK.findall(path.read_text())
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
}
PATIENCE_S: Final = 240.0

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed"),
]


@pytest.fixture
async def stack(image: str) -> AsyncIterator[Stack]:
    stack = Stack(THREE_BROKERS, image)
    yield stack
    await stack.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
    await Stack(ONE_BROKER, image, project=stack.project).compose("down", "--volumes", "--timeout", "5")


@pytest.mark.parametrize("document", [name for name, blocks in BLOCKS.items() if blocks])
async def test_the_commands_of_a_document_do_what_it_says(document: str, stack: Stack) -> None:
    for block in BLOCKS[document]:
        script = block.replace("localhost:5000", f"localhost:{stack.gateway_port}")

        async def succeeds(script: str = script) -> str:
            return await output_without_gaps(stack, script)

        await until(f"{document}: {script}", succeeds, PATIENCE_S)


async def output_without_gaps(stack: Stack, script: str) -> str:
    """Run a block; return what it printed, or nothing while a book that it asks for is not there yet."""
    shell = await asyncio.create_subprocess_exec(
        "bash", "-euc", script, cwd=ROOT, env=stack.environment, stdout=-1, stderr=-1
    )
    printed, errors = await asyncio.wait_for(shell.communicate(), PATIENCE_S)
    assert shell.returncode == 0, f"{script}\n{errors.decode()[-3000:]}"
    return "" if b"null" in printed else printed.decode() + errors.decode() + "done"
