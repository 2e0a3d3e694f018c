"""renote: denoising diffusion models and graph neural networks as short recipes of shared parts.

Nothing heavy is imported here: `renote.data`, `renote.systems`, … load at first use.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
