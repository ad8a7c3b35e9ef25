"""Networks that read pictures or texts, without a word on how they are trained.

vit        Vision Transformer: patches as words (Dosovitskiy et al. 2021)
vit_names  what three libraries call its options and its weights
text_encoder  BERT: reads a text to both sides, writes it, looks at a picture (Devlin et al. 2019)
text_head  from its tokens to words, and the losses that teach it
text_names  what transformers calls its options and its weights
resnet     residual networks: each block corrects what it is given (He et al. 2016)
modified_resnet  the same, shrinking by averages, pooled by attention (Radford et al. 2021)
hybrid     its map as the patches of a transformer (Dosovitskiy et al. 2021)
clip_names  what transformers and open_clip call CLIP's options and weights
causal_lm  a LLaMA or Qwen2: each word from the words before it (Touvron et al. 2023)
causal_lm_names  what transformers calls its options and its weights
"""
