"""The type checker of the test run: beartype, to which an int is a float as it is to mypy."""

from beartype import BeartypeConf, beartype

typecheck = beartype(conf=BeartypeConf(is_pep484_tower=True))
