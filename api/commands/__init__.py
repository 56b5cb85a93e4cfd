"""Subcommands of `fernamt`, one a module."""
