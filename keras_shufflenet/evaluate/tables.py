"""Figures as tables for the terminal."""

from collections.abc import Mapping

from rich.table import Table


def figures_table(
    rows: Mapping[str, Mapping[str, float]], title: str | None = None, caption: str | None = None
) -> Table:
    """Lay out what `coco`, `imagenet` or `mpii` return, a line for each model.

    Args:
        rows: the figures by the name of the model.
        title: over the table.
        caption: under the table, such as the protocol.

    Returns:
        A table to be printed by a rich console.

    Raises:
        ValueError: there are no rows, or they do not hold the same figures.
    """
    columns = list(next(iter(rows.values()), {}))
    if not columns or any(list(figures) != columns for figures in rows.values()):
        received = {name: list(figures) for name, figures in rows.items()}
        raise ValueError(f"Every row of a table must hold the same figures. Received: {received}")
    table = Table(title=title, caption=caption, header_style="bold", caption_style="dim")
    table.add_column("model")
    for column in columns:
        table.add_column(column, justify="right")
    for name, figures in rows.items():
        table.add_row(name, *(_figure(figures[column]) for column in columns))
    return table


def _figure(value: float) -> str:
    """Three decimals as in the papers, a count as it is, "–" for what is undefined."""
    if isinstance(value, int):
        return str(value)
    return "–" if value != value or value < 0 else f"{value:.3f}"
