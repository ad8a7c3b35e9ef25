"""Pictures and texts: where they come from.

photos   the real photographs of the course, offline, and your own
perturb  turn, zoom, blur, relight and add noise, and say where each pixel went
datasets   photo crops and digits, offline; CIFAR-10 and STL-10, downloaded: all in one shape
download   fetch a published file: resumed, verified, whole or not there
archives   unpack the files a data set needs: all, or no folder
storage    where downloads stand, one process at a time, a full disk in one sentence
recipes   a view as chances and strengths, and the views of SimCLR, BYOL, SwAV, DINO and MAE
views   draw them for a batch: each picture its own parameters, torchvision's results
colour   jitter, hue, grey and solarise, with a hue that needs no division
resample   crop, resize, flip and blur as two small matrices for each picture
words      text → words, by the rules of GPT-2, CLIP, Qwen2, BERT and LLaMA
merging    byte-pair encoding without its words: which pairs to merge, and merging them
numbering  token ↔ number, the checks, and the file a tokenizer is kept in
tokenizer  byte-level BPE and WordPiece, learned from scratch; rows of numbers, padded
published  a tokenizer that somebody else has trained, put together from its rules
chat       conversations as tokens, and which of them an assistant is to learn
vocabularies   read CLIP's, BERT's, Qwen2's and LLaMA's from their published files
weights   published weights by name: fetched once, verified, into our models without a second copy
weights_table   what they are: repository, revision, licence, size, SHA-256, preprocessing, score
safetensors_files   a folder's weights, read one tensor at a time; no pickle is opened
"""
