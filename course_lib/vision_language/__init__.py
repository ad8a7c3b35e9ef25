"""Pictures and words: what can be learned from what people say of what they see.

clip  a picture finds its caption, a caption its picture (Radford et al. 2021)

blip            compare, judge and write: three losses on one model (Li et al. 2022)
med             its text transformer, which reads alone, reads with a picture, and writes
momentum_queue  its contrast: slow features as negatives, as soft targets, as hard choices
blip_tasks      what it is for once it is trained: captions and answers
capfilt         it writes captions for its own next training, and throws out what is not true
blip_names      the names of its published weights

llava        a picture's patches become words that a language model can read (Liu et al. 2023)
llava_names  the names of its published weights
"""
