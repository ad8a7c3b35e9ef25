"""Pictures and words: what can be learned from what people say of what they see.

clip  a picture finds its caption, a caption its picture (Radford et al. 2021)
"""
