"""Forward processes: what corrupts, and how one step of it is undone when the clean data is known."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
