"""The command line of the peers."""

import argparse


def parser(description: str) -> argparse.ArgumentParser:
    """A parser with the options of every peer: inputs and output."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--messages", required=True, metavar="PATTERN")
    made.add_argument("--sessions", required=True, metavar="PATTERN")
    made.add_argument("--output", required=True, metavar="PATH")
    return made
