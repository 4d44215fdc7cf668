"""Types that several packages share."""

Size = tuple[int, int]
"""(height, width) in pixels."""

Box = tuple[float, float, float, float]
"""(x, y, width, height) in pixels; x and y are those of the top left corner."""
