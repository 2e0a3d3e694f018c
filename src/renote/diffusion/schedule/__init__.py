"""Noise schedules: how much of the data (alpha) and of the noise (sigma) is left at time t in [0, 1].

    x_t = alpha(t) x_0 + sigma(t) ε,    log_snr(t) = log alpha² / sigma²
    dx = f x dt + g dw,    f = (log alpha)',    g² = -sigma² log_snr'            Kingma et al. 2021 (VDM), appendix B; Song et al. 2021c, (5)

    variance preserving    alpha² + sigma² = 1       linear, cosine (discrete steps); vp (Song et al. 2021c, (11))
    variance exploding     alpha = 1                 ve, geometric (ibid., (9)); edm, sigma = 80 t (Karras et al. 2022)
    sub-vp                 sigma = 1 - alpha²        (Song et al. 2021c, (12))

At t = 0 the data is clean for every schedule: sigma(0) = 0, and that of ve jumps to its smallest value just above (ibid., appendix C).
Everything is computed in float64 from logarithms, so that sigma is right where it is tiny.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
