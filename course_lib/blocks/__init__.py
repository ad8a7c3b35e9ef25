"""Bricks that two or more papers share.

device      cpu, cuda or mps, and the quick or full budget
images      what counts as a picture, and the one way to make it grey
keypoints   a set of keypoints as plain arrays, and its OpenCV form
"""
