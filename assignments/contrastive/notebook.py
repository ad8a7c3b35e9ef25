# %% [markdown]
# CLIP learns from pairs: a picture must find its text among all texts of the batch, and a text its
# picture. You take half of the loss away, catch wrong losses, and measure what came of it.

# %% [markdown]
# ## The batch and the loss

# %% tags=["exercise:gathered_batch"]

# %% tags=["exercise:one_way"]

# %% [markdown]
# The test below is for the loss of lesson 11, `clip_loss(image, text, log_scale)`: the rows of both
# brought to length 1, all cosines times $e^{\text{log\_scale}}$ (not capped), and the mean of two
# cross-entropies, of each picture among the texts and of each text among the pictures. Partners
# stand in the same row.

# %% tags=["exercise:test_clip_loss"]

# %% [markdown]
# ## Texts
#
# A text becomes one feature, and many texts become one class.

# %% tags=["exercise:text_feature"]

# %% tags=["exercise:class_features"]

# %% [markdown]
# ## What has it learned?

# %% tags=["exercise:recall_at"]

# %% tags=["exercise:reciprocal_rank"]

# %% tags=["exercise:blind_spots"]

# %% [markdown] tags=["written:does_it_understand"]
