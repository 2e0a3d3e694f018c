from .spatial import KipfConvolution as KipfConvolution
