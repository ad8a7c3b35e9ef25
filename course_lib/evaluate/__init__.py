"""The protocol: how every representation is measured. It knows no paper.

inputs          what counts as features and labels; a number beside its chance level
extract         from pictures to features, with any encoder
knn             is what lies near the same kind of thing? (Wu et al. 2018)
linear_probe    what can be read from features by weighing and adding? (Alain and Bengio 2016)
few_shot        the probe after 1, 2, 5, … samples of each class
retrieval       do the right ones come first? recall and mean average precision
zero_shot       can the names of classes tell what is seen? (Radford et al. 2021)
captioning      which facts of a caption are right, and are any left out?
fluency         which runs of words are those of the true captions? BLEU, CIDEr (2002, 2015)
question_answering  answers by kind of question and number of objects, beside blind ones
geometry        collapse, spread, closeness of pairs (Roy and Vetterli 2007, Wang and Isola 2020)
attention       does a map lie on the objects, and would the mere contrast of colour?
invariance      what may change in a scene without changing its features?
factors         what is known of one object of the world: its shape, colour, material, size
scores          probe, neighbours and their controls in one call
passport        the same probes for every method, in one table that is kept
correspondence  which points of two pictures are the same place, one to one
repeatability   is a keypoint found again, and matched to itself, after the picture has changed?
"""
