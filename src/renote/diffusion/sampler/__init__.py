"""From prior to sample: every sampler is the one loop over a grid of (t, s) pairs with its own step."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
