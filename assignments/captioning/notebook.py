# %% [markdown]
# A captioner is a language model that has seen a picture. First the language model and its silent
# faults, then how a sentence is searched for, how pictures come in, and how captions are judged.

# %% [markdown]
# ## A language model

# %% tags=["exercise:may_attend"]

# %% tags=["exercise:next_token_loss"]

# %% tags=["exercise:peek"]

# %% [markdown]
# ## To write a sentence

# %% tags=["exercise:cache_size"]

# %% tags=["exercise:beam_search"]

# %% [markdown]
# ## To learn from captions that may be wrong

# %% tags=["exercise:who_learns"]

# %% tags=["exercise:test_soft_targets"]

# %% [markdown]
# ## To judge a caption

# %% tags=["exercise:clipped_precision"]

# %% [markdown] tags=["written:better_number"]
