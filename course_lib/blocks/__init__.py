"""Bricks that two or more papers share.

device      cpu, cuda or mps, and the quick or full budget
images      what counts as a picture, and the one way to make it grey
keypoints   a set of keypoints as plain arrays, and its OpenCV form
attention   multi-head attention, fused or with its weights shown (Vaswani et al. 2017)
attention_masks  who may look at whom: a reader, a writer, or both
attention_cache  what a decoder keeps of its past and its context
mlp         the half of a block that works on each token alone
transformer  the block with its norms in front, LayerScale, stochastic depth
batches     what counts as a batch of pictures for a network
patches     a picture as a sequence of patches, and back
positions   where a token stands: sines and cosines, and resizing to another grid
masking     which patches are hidden: random, a block, a grid
ema         a teacher that is the slow average of its student
convert     published weights under our names, nothing left over on either side
gather      what several processes know together, with gradients; one process: nothing
schedule    cosine, warm-up and momentum as functions of progress
rotary      positions as angles, by which queries and keys are turned (Su et al. 2021)
grouped_attention  many queries to one key, and the cache of a decoder's past (Ainslie et al. 2023)
decoder_block  the block of a LLaMA: RMSNorm, grouped attention, SwiGLU
decoding    from next words to a text: greedily, by drawing, by beams
token_losses  what it costs to predict words wrongly: hidden ones, or each next one
beam_search  the K best beginnings, side by side (Graves 2012)
"""
