"""The protocol: how every representation is measured. It knows no paper.

    repeatability  is a keypoint found again after the picture has changed?
"""
