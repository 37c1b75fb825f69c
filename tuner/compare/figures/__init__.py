"""Figures of a comparison, one file each; ``gallery`` has them all."""

_XML = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'


def standalone(svg: str) -> str:
    """An ``<svg>`` element as a file that stands alone."""
    return svg.replace("<svg", f"<svg {_XML}", 1)
