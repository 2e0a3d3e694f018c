"""From data to samples, by undoing a corruption: processes, schedules, denoisers, samplers, guidance, losses, the model."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
