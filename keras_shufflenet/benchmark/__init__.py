"""Latency, size and memory of models in LiteRT and in other runtimes, side by side."""
