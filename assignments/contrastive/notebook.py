# %% [markdown]
# CLIP learns from pairs: a picture must find its text among all texts of the batch, and a text its
# picture. You take half of the loss away, catch wrong losses, and measure what came of it.

# %% [markdown]
# ## The batch and the loss

# %% tags=["exercise:gathered_batch"]

# %% tags=["exercise:one_way"]

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
