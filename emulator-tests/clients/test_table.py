"""docs/emulator-rules.md says what the three answer."""

import os
from concurrent.futures import ThreadPoolExecutor

from clients.rules import RULES, moves_clock
from clients.table import BLESS, PAGE, SEEN, LocalStack, Moto, column, moto, page


def test_the_page_is_what_the_run_gives(emulator, clocked):
    with moto() as endpoint, ThreadPoolExecutor() as pool:
        ours = pool.submit(
            column,
            lambda name: (clocked if moves_clock(RULES[name]) else emulator).target(
                f"table {name}"
            ),
            SEEN,
        )
        # Accounts of its own: it is the LocalStack that is behind us, too.
        localstack = pool.submit(
            column, lambda name: LocalStack(f"table, alone {name}", emulator.localstack)
        )
        others = pool.submit(column, lambda name: Moto(f"table {name}", endpoint))
        columns = [it.result() for it in (ours, localstack, others)]
    new = page(*columns)
    if os.environ.get(BLESS):
        PAGE.write_text(new)
    assert PAGE.read_text() == new, f"{BLESS}=1 writes it anew"
