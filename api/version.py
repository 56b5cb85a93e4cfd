"""The version of this tree, which the package, `fernamt --version` and the API's description tell (PEP 440; CHANGELOG.md)."""

VERSION = "0.2.0.dev0"
"""`.dev0`: not released. What a release wrote is read by what the files themselves say, never by this."""
