"""`python -m aegis.cli …`: the same as `aegis …`, for places without the installed script."""

from aegis.cli.app import main

main()
