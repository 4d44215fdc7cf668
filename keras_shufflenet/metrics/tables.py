"""Metrics as tables for the terminal."""

from collections.abc import Mapping

from rich.table import Table


def metrics_table(
    models: Mapping[str, Mapping[str, float]], title: str | None = None, caption: str | None = None
) -> Table:
    """Return a table of what `coco`, `imagenet` or `mpii` return, with a column for each model.

    Args:
        models: Metrics by the name of the model.
        title: Title of the table.
        caption: Text below the table, such as the protocol.

    Returns:
        A table to be printed by a rich console.

    Raises:
        ValueError: If there are no models, or they do not have the same metrics.
    """
    names = list(next(iter(models.values()), {}))
    if not names or any(list(metrics) != names for metrics in models.values()):
        received = {model: list(metrics) for model, metrics in models.items()}
        raise ValueError(f"`models` must all have the same metrics. Received: {received}")
    table = Table(title=title, caption=caption, header_style="bold", caption_style="dim")
    table.add_column()
    for model in models:
        table.add_column(model, justify="right", overflow="fold")
    for name in names:
        table.add_row(name, *(_format(metrics[name]) for metrics in models.values()))
    return table


def _format(value: float) -> str:
    """Format with three decimals as in the papers, counts as integers, "–" if undefined."""
    if isinstance(value, int):
        return str(value)
    return "–" if value != value or value < 0 else f"{value:.3f}"
