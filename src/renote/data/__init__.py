"""Named datasets and the user's own folders and files.

Example:
    >>> from renote import data
    >>> digits = data.load("digits")
    >>> tuple(digits.train.shape), len(digits.classes)
    ((1500, 1, 8, 8), 10)
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
