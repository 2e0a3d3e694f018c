"""What a system is, and what is done with one: train, load, sample, predict, evaluate, compare, reproduce."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
