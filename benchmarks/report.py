"""The results as a table and as a plot."""

import pathlib
import statistics
from typing import Any

import matplotlib
import numpy as np

matplotlib.use("svg")

from matplotlib import pyplot, ticker

FORMATS = {
    "parquet": "Parquet",
    "avro": "Avro",
    "jsonl": "JSON Lines",
    "jsonl.gz": "JSON Lines, gzip",
    "csv": "CSV",
    "csv.gz": "CSV, gzip",
}
OURS = "session-metrics"
PEERS = {
    "duckdb_sql": "DuckDB",
    "polars_plan": "Polars",
    "with_summaries": "the same with summaries",
    "by_conversation": "the same by conversation",
    "beam_rows": "Beam, rows",
}
COLOURS = {
    OURS: "#0072b2",
    "DuckDB": "#d55e00",
    "Polars": "#009e73",
    "the same with summaries": "#56b4e9",
    "the same by conversation": "#cc79a7",
    "Beam, rows": "#7f7f7f",
}
MARKERS = dict(zip(COLOURS, "os^v*D", strict=True))

Results = dict[str, Any]


def write(results: Results, directory: pathlib.Path) -> None:
    """Writes `table.md` and `time-by-size.svg`."""
    (directory / "table.md").write_text(table(results), "utf-8")
    if results["comparisons"]:
        plot(results, directory / "time-by-size.svg")


def line(comparison: Results) -> str:
    """A comparison in one line of text."""
    return (
        f"{comparison['messages']:,} messages, {OURS} {_median_s(comparison['ours'])} s, "
        f"{PEERS[comparison['peer']]} {_median_s(comparison['theirs'])} s"
    )


def table(results: Results) -> str:
    """All results in Markdown."""
    made = [
        f"Wall time in seconds, median (least to most); ratio: {OURS} over peer, median of the pairs "
        "of runs; CPU: seconds of all cores, median; memory: peak, MB.",
        "",
        f"| work | messages | {OURS} | peer | | ratio | CPU | peer's | memory | peer's |",
        "|---|--:|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for found in results["comparisons"]:
        ours, theirs = found["ours"], found["theirs"]
        ratios = [a["wall_s"] / b["wall_s"] for a, b in zip(ours, theirs, strict=True)]
        cells = [
            f"{FORMATS[found['load_format']]} to Avro",
            f"{found['messages']:,}",
            f"{_median_s(ours)} ({_range_s(ours)})",
            f"{PEERS[found['peer']]} to {FORMATS[found['peer_format']]}",
            f"{_median_s(theirs)} ({_range_s(theirs)})",
            f"{statistics.median(ratios):.2f}",
            _median_s(ours, "cpu_s"),
            _median_s(theirs, "cpu_s"),
            _memory_mb(ours),
            _memory_mb(theirs),
        ]
        made.append(f"| {' | '.join(cells)} |")
    made += [*_by_size(results), *_memory_by_size(results)]
    if fold := results["fold"]:
        per_s = fold["messages"] / statistics.median(fold["wall_s"])
        made += [
            "",
            f"The fold alone, on one core: {per_s / 1e6:.1f} million messages per second "
            f"({fold['messages']:,} messages in {fold['shards']} shards, median of "
            f"{len(fold['wall_s'])}).",
        ]
    here = results["environment"]
    versions = ", ".join(
        f"{name} {version}" for name, version in here.items() if isinstance(version, str)
    )
    made += ["", f"{here['cores']} cores, {here['memory_gib']} GiB; {versions}."]
    return "\n".join(made) + "\n"


def _by_size(results: Results) -> list[str]:
    """The job alone, Parquet to Avro, at each size, and the regression line through the times."""
    runs: dict[int, list[dict[str, float]]] = {}
    for found in results["comparisons"]:
        if found["load_format"] == "parquet":
            runs.setdefault(found["messages"], []).extend(found["ours"])
    if not runs:
        return []
    made = [
        "",
        f"{OURS} alone, Parquet to Avro:",
        "",
        "| messages | seconds | seconds per million | CPU seconds | CPU seconds per million |",
        "|--:|--:|--:|--:|--:|",
    ]
    for messages, taken in sorted(runs.items()):
        cells = [f"{messages:,}"]
        for clock in ("wall_s", "cpu_s"):
            per_million = statistics.median(run[clock] for run in taken) / messages * 1e6
            cells += [_median_s(taken, clock), f"{per_million:.2f}"]
        made.append(f"| {' | '.join(cells)} |")
    if len(runs) > 1:
        points = [(size, run["wall_s"]) for size, taken in runs.items() for run in taken]
        sizes, times = np.array(points).T
        slope, intercept = np.polyfit(sizes, times, 1)
        made += [
            "",
            f"Least squares: {intercept:.2f} s + {slope * 1e6:.2f} s per million messages "
            f"(R² {np.corrcoef(sizes, times)[0, 1] ** 2:.4f}).",
        ]
    return made


def _memory_by_size(results: Results) -> list[str]:
    """The peak memory at each size, of the job and of its peers that read the same files."""
    memory: dict[str, dict[int, list[dict[str, float]]]] = {}
    for found in results["comparisons"]:
        if found["load_format"] == "parquet" and found["peer_by"] == "session":
            for name, runs in ((OURS, found["ours"]), (PEERS[found["peer"]], found["theirs"])):
                memory.setdefault(name, {}).setdefault(found["messages"], []).extend(runs)
    if not memory:
        return []
    sizes = sorted(memory[OURS])
    made = [
        "",
        "Peak memory, MB, from Parquet:",
        "",
        f"| | {' | '.join(f'{size:,} messages' for size in sizes)} |",
        f"|---|{'--:|' * len(sizes)}",
    ]
    for name in COLOURS:
        if name in memory:
            cells = [_memory_mb(memory[name][n]) if n in memory[name] else "" for n in sizes]
            made.append(f"| {name} | {' | '.join(cells)} |")
    return made


def plot(results: Results, path: pathlib.Path) -> None:
    """Plots wall time by number of messages: a panel per format of the input, both axes logarithmic."""
    lines: dict[str, dict[str, dict[int, list[float]]]] = {}
    for found in results["comparisons"]:
        panel = lines.setdefault(found["load_format"], {})
        for name, runs in ((OURS, found["ours"]), (PEERS[found["peer"]], found["theirs"])):
            times = panel.setdefault(name, {}).setdefault(found["messages"], [])
            times.extend(run["wall_s"] for run in runs)
    settings = {"svg.hashsalt": OURS, "font.size": 9, "axes.spines.top": False}
    with pyplot.rc_context(settings | {"axes.spines.right": False}):
        formats = [name for name in FORMATS if name in lines]
        figure, panels = pyplot.subplots(
            1, len(formats), figsize=(3.2 * len(formats) + 0.6, 3.8), sharey=True, squeeze=False
        )
        shown: dict[str, Any] = {}
        for axes, load_format in zip(panels[0], formats, strict=True):
            for name in sorted(lines[load_format], key=list(COLOURS).index):
                times_by_size = sorted(lines[load_format][name].items())
                sizes = [size for size, _ in times_by_size]
                middle = np.array([statistics.median(t) for _, t in times_by_size])
                least = middle - [min(t) for _, t in times_by_size]
                most = [max(t) for _, t in times_by_size] - middle
                shown[name] = axes.errorbar(
                    sizes,
                    middle,
                    yerr=[least, most],
                    color=COLOURS[name],
                    marker=MARKERS[name],
                    markersize=4,
                    linewidth=1.5,
                    capsize=2,
                )
            axes.set_xscale("log")
            axes.set_yscale("log")
            axes.set_title(f"{FORMATS[load_format]} in")
            axes.set_xlabel("messages")
            sizes = sorted({size for times in lines[load_format].values() for size in times})
            axes.set_xticks(sizes, [_short(size) for size in sizes])
            axes.set_xlim(sizes[0] / 1.5, sizes[-1] * 1.5)
            axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
            axes.minorticks_off()
            axes.grid(color="#dddddd", linewidth=0.6)
        panels[0][0].set_ylabel("wall time, seconds")
        figure.legend(
            shown.values(), shown.keys(), frameon=False, loc="lower center", ncols=len(shown)
        )
        figure.tight_layout(rect=(0, 0.08, 1, 1))
        figure.savefig(path, format="svg", metadata={"Date": None})
        pyplot.close(figure)


def _short(size: int) -> str:
    return f"{size / 1e6:g} M" if size >= 1e6 else f"{size / 1e3:g} k"


def _median_s(runs: list[dict[str, float]], clock: str = "wall_s") -> str:
    return f"{statistics.median(run[clock] for run in runs):.2f}"


def _range_s(runs: list[dict[str, float]]) -> str:
    times = [run["wall_s"] for run in runs]
    return f"{min(times):.2f} to {max(times):.2f}"


def _memory_mb(runs: list[dict[str, float]]) -> str:
    return f"{max(run['peak_memory_bytes'] for run in runs) / 1e6:,.0f}"
