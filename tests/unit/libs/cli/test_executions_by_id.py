import pytest

from libs.cli.errors import CommandError, UsageError
from libs.cli.executions_by_id import the_one

IDS = ["d585da82-2fb6-5596-94a2-0296c89596cf", "d585da82-ffff-5596-94a2-0296c89596cf", "1ddb5fa9-c3f3"]


def test_any_beginning_that_only_one_id_has_names_it() -> None:
    assert the_one("1", IDS) == IDS[2]
    assert the_one("D585DA82-2", IDS) == IDS[0]


def test_a_beginning_of_several_lists_them() -> None:
    with pytest.raises(UsageError, match=f"'d585da82' may be any of {IDS[0]}, {IDS[1]}: write more of it"):
        the_one("d585da82", IDS)


def test_a_beginning_of_none_says_where_ids_are_found() -> None:
    with pytest.raises(CommandError, match="no execution's id begins with 'ab': `bookrunner executions`"):
        the_one("ab", IDS)
