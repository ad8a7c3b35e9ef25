# %% [markdown]
# A Vision Transformer reads patches, and a masked autoencoder hides most of them. Every step from
# the cut to the loss has a place where a silent fault fits in.

# %% tags=["exercise:masked_tokens"]

# %% [markdown]
# ## The encoder

# %% tags=["exercise:split_heads"]

# %% tags=["exercise:pooled_scores"]

# %% [markdown]
# ## The mask
#
# What is hidden decides what must be learned.

# %% tags=["exercise:hide_blocks"]

# %% [markdown]
# ## The way back, and the loss

# %% tags=["exercise:test_put_back"]

# %% tags=["exercise:whiten_patches"]

# %% tags=["exercise:masked_loss"]

# %% [markdown] tags=["written:what_to_hide"]
