"""Numbers as people say them: how many, how large, how long."""


def counted(number: int, what: str, several: str = "") -> str:
    """ "1 picture", "2 pictures".

    Args:
        number: how many.
        what: the word for one.
        several: the word for others; "" = the same with an s.
    """
    return f"{number:,} {what if number == 1 else several or f'{what}s'}"


def amount(num_bytes: float) -> str:
    """Bytes in thousands, as disks are sold: "312 bytes", "12.3 kB", "12.0 MB", "1.5 GB"."""
    if num_bytes < 1000:
        return counted(round(num_bytes), "byte")
    for unit in ("kB", "MB"):
        num_bytes /= 1000
        if num_bytes < 999.95:  # what is rounded to 1000 is one of the next
            return f"{num_bytes:.1f} {unit}"
    return f"{num_bytes / 1000:,.1f} GB"


def duration(seconds: float) -> str:
    """A length of time that is known roughly, or told for a glance: "45 s", "12 min", "3 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"
