# %% [markdown]
# LLaVA is a vision tower, a small projector and a language model. What can go wrong lies between
# them: where the picture goes, whose words count, and whether the picture is used at all.

# %% [markdown]
# ## A picture inside a text

# %% tags=["exercise:spliced"]

# %% tags=["exercise:context_room"]

# %% tags=["exercise:best_grid"]

# %% [markdown]
# ## Whose words count

# %% tags=["exercise:dialogue_targets"]

# %% tags=["exercise:test_counted"]

# %% [markdown]
# ## Does it look?

# %% tags=["exercise:blindfold"]

# %% tags=["exercise:shortcut"]

# %% tags=["exercise:vqa_score"]

# %% [markdown] tags=["written:trust"]
