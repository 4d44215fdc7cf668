"""Figures as tables for the terminal."""

from collections.abc import Mapping

from rich.table import Table


def metrics_table(
    models: Mapping[str, Mapping[str, float]], title: str | None = None, caption: str | None = None
) -> Table:
    """Lay out what `coco`, `imagenet` or `mpii` return, a column for each model.

    Args:
        models: the figures by the name of the model.
        title: over the table.
        caption: under the table, such as the protocol.

    Returns:
        A table to be printed by a rich console.

    Raises:
        ValueError: there are no models, or they do not have the same figures.
    """
    names = list(next(iter(models.values()), {}))
    if not names or any(list(figures) != names for figures in models.values()):
        received = {model: list(figures) for model, figures in models.items()}
        raise ValueError(f"All models of a table must have the same figures. Received: {received}")
    table = Table(title=title, caption=caption, header_style="bold", caption_style="dim")
    table.add_column()
    for model in models:
        table.add_column(model, justify="right", overflow="fold")
    for name in names:
        table.add_row(name, *(_figure(figures[name]) for figures in models.values()))
    return table


def _figure(value: float) -> str:
    """Three decimals as in the papers, a count as it is, "–" for what is undefined."""
    if isinstance(value, int):
        return str(value)
    return "–" if value != value or value < 0 else f"{value:.3f}"
