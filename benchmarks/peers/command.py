"""The command line that the peers have in common."""

import argparse


def parser(description: str) -> argparse.ArgumentParser:
    """A parser with the options that all peers have: inputs and output."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--messages", required=True, metavar="PATTERN")
    made.add_argument("--sessions", required=True, metavar="PATTERN")
    made.add_argument("--output", required=True, metavar="PATH")
    return made
