"""A count of products on the terminal, where a measurement takes long and tqdm is installed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from ._measurement import Measurement

__all__ = ["progress"]

PATIENCE = 2.0
"""Seconds before a measurement counts as long."""


@contextlib.contextmanager
def progress(m: Measurement) -> Iterator[None]:
    """Counts the products of a measurement whose kind is chosen, on standard error, if that is a terminal; it is gone
    afterwards.
    """
    source = m.source
    if source is None or not sys.stderr.isatty():
        yield
        return
    try:
        from tqdm import tqdm
    except ImportError:
        yield
        return
    product = source.product
    with tqdm(desc="measuring", unit=" products", delay=PATIENCE, leave=False, file=sys.stderr) as bar:

        def counted(batch: int | None, v: Tensor) -> Tensor:
            image = product(batch, v)
            bar.update()
            return image

        source.product = counted  # type: ignore[method-assign]
        try:
            yield
        finally:
            source.product = product  # type: ignore[method-assign]
