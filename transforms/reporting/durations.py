"""Durations, in microseconds, as people write them. Pure; no Beam."""

from transforms.instants import SECOND_US

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def short(time_us: int) -> str:
    """A round time in one unit, such as `1 s`, `10 min`, `1 day`."""
    seconds = time_us // SECOND_US
    for size, unit in ((86_400, "day"), *_UNITS[1:]):
        if seconds >= size and seconds % size == 0:
            number = seconds // size
            return f"{number} {unit}s" if unit == "day" and number > 1 else f"{number} {unit}"
    return words(time_us)


def words(time_us: int) -> str:
    """A time in one or two units: `0 s`, `4.2 s`, `3 min 5 s`, `2 d 4 h`."""
    if time_us == 0:
        return "0 s"
    tenths = (time_us + SECOND_US // 20) // (SECOND_US // 10)
    if tenths < 10:
        return f"{time_us / 1000:.3g} ms" if time_us >= 1000 else f"{time_us} µs"
    if tenths < 100:
        return f"{tenths / 10:g} s"
    seconds = (time_us + SECOND_US // 2) // SECOND_US
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3_600:
        minutes, rest = divmod(seconds, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    minutes = (seconds + 30) // 60
    if minutes < 1_440:
        hours, rest = divmod(minutes, 60)
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, hours = divmod((minutes + 30) // 60, 24)
    return f"{days:,} d {hours} h" if hours else f"{days:,} d"


def compact(time_us: int) -> str:
    """A time in one unit and a few characters, for a cell: `45s`, `1.5m`, `12m`, `3h`, `2d`."""
    seconds = (time_us + SECOND_US // 2) // SECOND_US
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            tenths = (20 * seconds + size) // (2 * size)
            return f"{tenths / 10:g}{unit}" if tenths < 100 else f"{(tenths + 5) // 10}{unit}"
    return f"{seconds}s" if seconds else "<1s"


def iso(time_us: int) -> str:
    """The exact time for machines, as ISO 8601, such as `PT185.25S`."""
    seconds, rest = divmod(time_us, SECOND_US)
    fraction = f".{rest:06d}".rstrip("0") if rest else ""
    return f"PT{seconds}{fraction}S"
