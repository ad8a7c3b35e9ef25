"""Classical features: detect → describe → match, in NumPy.

scale_space  blur, Gaussian pyramid, differences of Gaussians (Witkin 1983, Lindeberg 1994)
sift         blobs in scale space, histograms of gradients (Lowe 2004)
box_filters  integral image, and derivatives made of boxes (Viola and Jones 2001)
surf         SIFT's idea with box filters on an integral image (Bay et al. 2006)
brief        256 comparisons of two pixels, packed into bits (Calonder et al. 2010)
homography   one view onto another, from four points or more (Hartley 1997)
matching     nearest neighbours, ratio test, RANSAC, panorama (Lowe 2004, Fischler 1981)
bag_of_words  histograms of clustered patches (Sivic and Zisserman 2003, Csurka et al. 2004)
"""
