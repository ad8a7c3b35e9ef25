"""Classical features: detect → describe → match, in NumPy.

    scale_space  blur, Gaussian pyramid, differences of Gaussians (Witkin 1983, Lindeberg 1994)
    sift         blobs in scale space, histograms of gradients (Lowe 2004)
    surf         the same with box filters on an integral image (Bay et al. 2006)
    brief        256 comparisons of two pixels, packed into bits (Calonder et al. 2010)
    matching     nearest neighbours, ratio test, homography, RANSAC, panorama
"""
