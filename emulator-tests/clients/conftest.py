"""What pytest looks for here: it lies in fixtures.py, which the flow's tests use too."""

from fixtures import (  # noqa: F401
    aws,
    cli,
    clocked,
    coldsnap,
    emulator,
    image,
    localstack,
    own,
    pytest_addoption,
    snap,
)
