"""Encoders that turn a batch of pictures into features, without a word on how they are trained.

vit        Vision Transformer: patches as words (Dosovitskiy et al. 2021)
vit_names  what three libraries call its options and its weights
resnet     residual networks: each block corrects what it is given (He et al. 2016)
"""
