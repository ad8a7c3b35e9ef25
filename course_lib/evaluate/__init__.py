"""The protocol: how every representation is measured. It knows no paper.

correspondence  which points of two pictures are the same place, one to one
repeatability   is a keypoint found again, and matched to itself, after the picture has changed?
"""
